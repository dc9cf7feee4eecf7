/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM dma_buf_phys

#if !defined(_TRACE_DMA_BUF_PHYS_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_DMA_BUF_PHYS_H

#include <linux/dma-buf-phys.h>
#include <linux/tracepoint.h>

/* No event shows a physical, bus or I/O virtual address. */

DECLARE_EVENT_CLASS(dma_buf_phys_state,
	TP_PROTO(const struct dma_buf_phys *phys),
	TP_ARGS(phys),
	TP_STRUCT__entry(
		__string(exp_name, phys->dmabuf->exp_name)
		__field(u64, ino)
		__field(unsigned long, suspended)
		__field(bool, revoked)
		__field(unsigned int, nr_maps)
	),
	TP_fast_assign(
		__assign_str(exp_name);
		__entry->ino = phys->ino;
		__entry->suspended = phys->suspended;
		__entry->revoked = phys->revoked;
		__entry->nr_maps = phys->nr_maps;
	),
	TP_printk("exp_name=%s ino=%llu suspended=%s revoked=%d nr_maps=%u",
		  __get_str(exp_name), __entry->ino,
		  __print_flags(__entry->suspended, "|",
				{ DMA_BUF_PHYS_RESET, "reset" },
				{ DMA_BUF_PHYS_POWER, "power" },
				{ DMA_BUF_PHYS_DECODE, "decode" },
				{ DMA_BUF_PHYS_OWNER, "owner" }),
		  __entry->revoked, __entry->nr_maps)
);

/* A buffer begins, and ends: the last reference to it is gone. */
DEFINE_EVENT(dma_buf_phys_state, dma_buf_phys_export,
	TP_PROTO(const struct dma_buf_phys *phys), TP_ARGS(phys));
DEFINE_EVENT(dma_buf_phys_state, dma_buf_phys_release,
	TP_PROTO(const struct dma_buf_phys *phys), TP_ARGS(phys));
/* The new state is set, views are about to be invalidated. */
DEFINE_EVENT(dma_buf_phys_state, dma_buf_phys_stop,
	TP_PROTO(const struct dma_buf_phys *phys), TP_ARGS(phys));
/* Every mapping of every view is gone. */
DEFINE_EVENT(dma_buf_phys_state, dma_buf_phys_stopped,
	TP_PROTO(const struct dma_buf_phys *phys), TP_ARGS(phys));
/* The memory is about to move, views are about to be invalidated. */
DEFINE_EVENT(dma_buf_phys_state, dma_buf_phys_move,
	TP_PROTO(const struct dma_buf_phys *phys), TP_ARGS(phys));
/* One reason ended; live if none is left. */
DEFINE_EVENT(dma_buf_phys_state, dma_buf_phys_restore,
	TP_PROTO(const struct dma_buf_phys *phys), TP_ARGS(phys));

DECLARE_EVENT_CLASS(dma_buf_phys_importer,
	TP_PROTO(const struct dma_buf_attachment *attach, const char *importer,
		 unsigned int views),
	TP_ARGS(attach, importer, views),
	TP_STRUCT__entry(
		__string(importer, importer)
		__string(device, dev_name(attach->dev))
		__field(u64, ino)
		__field(unsigned int, views)
	),
	TP_fast_assign(
		__assign_str(importer);
		__assign_str(device);
		__entry->ino = file_inode(attach->dmabuf->file)->i_ino;
		__entry->views = views;
	),
	TP_printk("ino=%llu importer=%s device=%s views=%s",
		  __entry->ino, __get_str(importer), __get_str(device),
		  __entry->views ?
		  __print_flags(__entry->views, "|",
				{ DMA_BUF_PHYS_VIEW_DMA, "dma" },
				{ DMA_BUF_PHYS_VIEW_DOMAIN, "domain" },
				{ DMA_BUF_PHYS_VIEW_CPU, "cpu" }) : "sgt")
);

/* An importer of a buffer of the class comes, and goes. */
DEFINE_EVENT(dma_buf_phys_importer, dma_buf_phys_attach,
	TP_PROTO(const struct dma_buf_attachment *attach, const char *importer,
		 unsigned int views),
	TP_ARGS(attach, importer, views));
DEFINE_EVENT(dma_buf_phys_importer, dma_buf_phys_detach,
	TP_PROTO(const struct dma_buf_attachment *attach, const char *importer,
		 unsigned int views),
	TP_ARGS(attach, importer, views));
/* From now on the memory stays where it is; no longer for this importer. */
DEFINE_EVENT(dma_buf_phys_importer, dma_buf_phys_pin,
	TP_PROTO(const struct dma_buf_attachment *attach, const char *importer,
		 unsigned int views),
	TP_ARGS(attach, importer, views));
DEFINE_EVENT(dma_buf_phys_importer, dma_buf_phys_unpin,
	TP_PROTO(const struct dma_buf_attachment *attach, const char *importer,
		 unsigned int views),
	TP_ARGS(attach, importer, views));

DECLARE_EVENT_CLASS(dma_buf_phys_map,
	TP_PROTO(u64 ino, const char *importer,
		 const char *view, u64 offset, u64 len),
	TP_ARGS(ino, importer, view, offset, len),
	TP_STRUCT__entry(
		__string(importer, importer)
		__string(view, view)
		__field(u64, ino)
		__field(u64, offset)
		__field(u64, len)
	),
	TP_fast_assign(
		__assign_str(importer);
		__assign_str(view);
		__entry->ino = ino;
		__entry->offset = offset;
		__entry->len = len;
	),
	TP_printk("ino=%llu importer=%s view=%s offset=%#llx len=%#llx",
		  __entry->ino, __get_str(importer), __get_str(view),
		  __entry->offset, __entry->len)
);

DEFINE_EVENT(dma_buf_phys_map, dma_buf_phys_map,
	TP_PROTO(u64 ino, const char *importer,
		 const char *view, u64 offset, u64 len),
	TP_ARGS(ino, importer, view, offset, len));
DEFINE_EVENT(dma_buf_phys_map, dma_buf_phys_unmap,
	TP_PROTO(u64 ino, const char *importer,
		 const char *view, u64 offset, u64 len),
	TP_ARGS(ino, importer, view, offset, len));

TRACE_EVENT(dma_buf_phys_refuse,
	TP_PROTO(u64 ino, const char *exporter,
		 const char *importer, const char *reason),
	TP_ARGS(ino, exporter, importer, reason),
	TP_STRUCT__entry(
		__string(exporter, exporter)
		__string(importer, importer)
		__string(reason, reason)
		__field(u64, ino)
	),
	TP_fast_assign(
		__assign_str(exporter);
		__assign_str(importer);
		__assign_str(reason);
		__entry->ino = ino;
	),
	TP_printk("ino=%llu exporter=%s importer=%s reason=\"%s\"",
		  __entry->ino, __get_str(exporter), __get_str(importer),
		  __get_str(reason))
);

#endif /* _TRACE_DMA_BUF_PHYS_H */

#include <trace/define_trace.h>
