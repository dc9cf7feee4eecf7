// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys KUnit: the mocks, see dma-buf-phys-mock.h
 *
 * No address here is ever accessed, so buffers may be of any size.
 */
#include <kunit/device.h>
#include <kunit/resource.h>
#include <kunit/visibility.h>
#include <linux/dma-resv.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "dma-buf-phys-mock.h"

/*
 * The model of a range list: clip every range to the slice, then join
 * neighbours.
 */

u64 mock_sum(const struct phys_vec *vec, size_t nr)
{
	u64 sum = 0;

	while (nr--)
		sum += vec[nr].len;
	return sum;
}
EXPORT_SYMBOL_IF_KUNIT(mock_sum);

/* The runs of a slice; @runs has room for @nr. */
size_t mock_runs(const struct phys_vec *vec, size_t nr, u64 offset, u64 len,
		 struct phys_vec *runs)
{
	u64 start = 0, first, end;
	size_t count = 0, i;

	for (i = 0; i < nr; start += vec[i].len, i++) {
		first = max(offset, start);
		end = min(offset + len, start + vec[i].len);
		if (first >= end)
			continue;
		runs[count].paddr = vec[i].paddr + (first - start);
		runs[count].len = end - first;
		if (count && runs[count].paddr ==
			     runs[count - 1].paddr + runs[count - 1].len)
			runs[count - 1].len += runs[count].len;
		else
			count++;
	}
	return count;
}
EXPORT_SYMBOL_IF_KUNIT(mock_runs);

phys_addr_t mock_paddr(const struct phys_vec *vec, u64 byte)
{
	for (; byte >= vec->len; vec++)
		byte -= vec->len;
	return vec->paddr + byte;
}
EXPORT_SYMBOL_IF_KUNIT(mock_paddr);

/*
 * Exporter
 */

static struct mock_exporter *to_mock(const struct dma_buf *dmabuf)
{
	return container_of(dmabuf->priv, struct mock_exporter, phys);
}

static int mock_get_ranges(struct dma_buf *dmabuf,
			   struct dma_buf_phys_ranges *ranges)
{
	struct mock_exporter *exp = to_mock(dmabuf);

	dma_resv_assert_held(dmabuf->resv);
	if (exp->gone)
		exp->nr_late++;
	if (exp->get_error)
		return exp->get_error;
	*ranges = exp->ranges;
	exp->nr_get++;
	return 0;
}

static void mock_put_ranges(struct dma_buf *dmabuf,
			    struct dma_buf_phys_ranges *ranges)
{
	dma_resv_assert_held(dmabuf->resv);
	to_mock(dmabuf)->nr_put++;
}

static int mock_pin(struct dma_buf_attachment *attach)
{
	to_mock(attach->dmabuf)->nr_pin++;
	return 0;
}

static void mock_unpin(struct dma_buf_attachment *attach)
{
	to_mock(attach->dmabuf)->nr_pin--;
}

static void mock_release(struct dma_buf *dmabuf)
{
	struct mock_exporter *exp = to_mock(dmabuf);

	dma_buf_phys_fini(&exp->phys);
	complete(&exp->released);
}

static const struct dma_buf_phys_ops mock_ops = {
	.ops = {
		.attach = dma_buf_phys_attach,
		.detach = dma_buf_phys_detach,
		.pin = mock_pin,
		.unpin = mock_unpin,
		.map_dma_buf = dma_buf_phys_map_dma_buf,
		.unmap_dma_buf = dma_buf_phys_unmap_dma_buf,
		.mmap = dma_buf_phys_mmap,
		.release = mock_release,
	},
	.may_revoke = true,
	.get_ranges = mock_get_ranges,
	.put_ranges = mock_put_ranges,
};

static void mock_export_exit(void *data)
{
	struct mock_exporter *exp = data;

	dma_buf_put(exp->dmabuf);
	flush_delayed_fput();
	wait_for_completion(&exp->released);
	if (exp->ops.put_ranges)
		KUNIT_EXPECT_EQ(exp->test, exp->nr_get, exp->nr_put);
	KUNIT_EXPECT_EQ_MSG(exp->test, exp->nr_late, 0,
			    "get_ranges() called after revoke");
	KUNIT_EXPECT_EQ(exp->test, exp->nr_pin, 0);
	KUNIT_EXPECT_EQ(exp->test, exp->phys.nr_pins, 0);
}

/* What get_ranges() hands out from now on. */
void mock_lend(struct mock_exporter *exp, const struct phys_vec *vec,
	       size_t nr, enum dma_buf_phys_kind kind)
{
	exp->ranges = (struct dma_buf_phys_ranges) {
		.vec = vec,
		.nr = nr,
		.kind = kind,
		.provider = kind == DMA_BUF_PHYS_MMIO ? &exp->provider : NULL,
	};
}
EXPORT_SYMBOL_IF_KUNIT(mock_lend);

struct mock_exporter *mock_export(struct kunit *test,
				  const struct mock_buffer *buffer)
{
	struct mock_exporter *exp = kunit_kzalloc(test, sizeof(*exp),
						  GFP_KERNEL);
	struct dma_buf_export_info info = {
		.exp_name = "mock",
		.owner = THIS_MODULE,
		.size = mock_sum(buffer->vec, buffer->nr),
		.flags = O_RDWR | O_CLOEXEC,
	};

	KUNIT_ASSERT_NOT_NULL(test, exp);
	exp->test = test;
	exp->provider.owner = mock_device(test, "exporter");
	exp->ops = mock_ops;
	exp->ops.may_revoke = !buffer->fixed;
	if (buffer->fixed)
		exp->ops.put_ranges = NULL;
	if (buffer->moves) {
		exp->ops.may_move = true;
		exp->ops.ops.pin = dma_buf_phys_pin_dma_buf;
		exp->ops.ops.unpin = dma_buf_phys_unpin_dma_buf;
	}
	init_completion(&exp->released);
	mock_lend(exp, buffer->vec, buffer->nr, buffer->kind);

	dma_buf_phys_init(&exp->phys, buffer->suspended);
	info.ops = &exp->ops.ops;
	info.priv = &exp->phys;
	exp->dmabuf = dma_buf_phys_export(&info);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, exp->dmabuf);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   mock_export_exit,
							   exp));
	return exp;
}
EXPORT_SYMBOL_IF_KUNIT(mock_export);

void mock_revoke(struct mock_exporter *exp)
{
	dma_buf_phys_revoke(exp->dmabuf);
	exp->gone = true;
}
EXPORT_SYMBOL_IF_KUNIT(mock_revoke);

/*
 * Importer
 */

/* A device that is not PCI, with direct mapping of 64 bits. */
struct device *mock_device(struct kunit *test, const char *name)
{
	static atomic_t count;
	struct device *dev;
	char unique[32];

	snprintf(unique, sizeof(unique), "%s%d", name,
		 atomic_inc_return(&count));
	dev = kunit_device_register(test, unique);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	KUNIT_ASSERT_EQ(test, dma_set_mask(dev, DMA_BIT_MASK(64)), 0);
	/* Some architectures take no device for one unless they are told. */
	dev_set_dma_coherent(dev);
	return dev;
}
EXPORT_SYMBOL_IF_KUNIT(mock_device);

static void mock_unmap_locked(struct mock_importer *imp)
{
	if (imp->mapped)
		dma_buf_phys_unmap_dma(imp->attach, &imp->map);
	imp->mapped = false;
}

static void mock_unmap_work(struct work_struct *work)
{
	mock_unmap_dma(container_of(to_delayed_work(work),
				    struct mock_importer, work));
}

static void mock_invalidate(struct dma_buf_phys_attachment *attach)
{
	struct mock_importer *imp = attach->priv;

	dma_resv_assert_held(attach->dmabuf->resv);
	imp->nr_invalidate++;
	if (imp->lazy)
		return;
	if (imp->delay_ms)
		schedule_delayed_work(&imp->work,
				      msecs_to_jiffies(imp->delay_ms));
	else
		mock_unmap_locked(imp);
}

const struct dma_buf_phys_importer_ops mock_stoppable = {
	.name = "mock",
	.invalidate = mock_invalidate,
};
EXPORT_SYMBOL_IF_KUNIT(mock_stoppable);

const struct dma_buf_phys_importer_ops mock_unstoppable = {
	.name = "mock-unstoppable",
};
EXPORT_SYMBOL_IF_KUNIT(mock_unstoppable);

static void mock_attach_exit(void *data)
{
	struct mock_importer *imp = data;

	cancel_delayed_work_sync(&imp->work);
	mock_unmap_dma(imp);
	if (imp->pinned) {
		dma_resv_lock(imp->attach->dmabuf->resv, NULL);
		dma_buf_phys_unpin(imp->attach);
		dma_resv_unlock(imp->attach->dmabuf->resv);
	}
	dma_buf_phys_importer_detach(imp->attach);
}

/* Domain views of it can be mapped from now on. */
int mock_pin_for_domain(struct mock_importer *imp)
{
	int ret;

	dma_resv_lock(imp->attach->dmabuf->resv, NULL);
	ret = dma_buf_phys_pin(imp->attach);
	imp->pinned = !ret;
	dma_resv_unlock(imp->attach->dmabuf->resv);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(mock_pin_for_domain);

struct mock_importer *
mock_try_attach(struct kunit *test, struct dma_buf *dmabuf, struct device *dev,
		unsigned int views, const struct dma_buf_phys_importer_ops *ops)
{
	struct mock_importer *imp = kunit_kzalloc(test, sizeof(*imp),
						  GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, imp);
	INIT_DELAYED_WORK(&imp->work, mock_unmap_work);
	imp->attach = dma_buf_phys_importer_attach(dmabuf, dev, views, ops,
						   imp);
	if (IS_ERR(imp->attach))
		return ERR_CAST(imp->attach);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   mock_attach_exit,
							   imp));
	if (views & DMA_BUF_PHYS_VIEW_DOMAIN)
		mock_pin_for_domain(imp);
	return imp;
}
EXPORT_SYMBOL_IF_KUNIT(mock_try_attach);

struct mock_importer *mock_attach(struct kunit *test, struct dma_buf *dmabuf,
				  unsigned int views)
{
	struct mock_importer *imp =
		mock_try_attach(test, dmabuf, mock_device(test, "importer"),
				views, &mock_stoppable);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, imp);
	return imp;
}
EXPORT_SYMBOL_IF_KUNIT(mock_attach);

int mock_map_dma(struct mock_importer *imp, u64 offset, u64 len)
{
	int ret;

	dma_resv_lock(imp->attach->dmabuf->resv, NULL);
	ret = dma_buf_phys_map_dma(imp->attach, &imp->map, offset, len,
				   DMA_TO_DEVICE);
	imp->mapped = !ret;
	dma_resv_unlock(imp->attach->dmabuf->resv);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(mock_map_dma);

void mock_unmap_dma(struct mock_importer *imp)
{
	dma_resv_lock(imp->attach->dmabuf->resv, NULL);
	mock_unmap_locked(imp);
	dma_resv_unlock(imp->attach->dmabuf->resv);
}
EXPORT_SYMBOL_IF_KUNIT(mock_unmap_dma);

/*
 * Fence
 */

static const char *mock_fence_name(struct dma_fence *fence)
{
	return "mock";
}

static const struct dma_fence_ops mock_fence_ops = {
	.get_driver_name = mock_fence_name,
	.get_timeline_name = mock_fence_name,
};

static void mock_fence_exit(void *data)
{
	struct dma_fence *fence = data;

	dma_fence_signal(fence);
	dma_fence_put(fence);
}

/* Put a fence on a buffer; it is signalled at the latest when the test ends. */
struct dma_fence *mock_fence(struct kunit *test, struct dma_buf *dmabuf,
			     enum dma_resv_usage usage)
{
	static DEFINE_SPINLOCK(lock);
	struct dma_fence *fence = kzalloc_obj(*fence);

	KUNIT_ASSERT_NOT_NULL(test, fence);
	dma_fence_init(fence, &mock_fence_ops, &lock,
		       dma_fence_context_alloc(1), 1);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   mock_fence_exit,
							   fence));
	dma_resv_lock(dmabuf->resv, NULL);
	KUNIT_EXPECT_EQ(test, dma_resv_reserve_fences(dmabuf->resv, 1), 0);
	dma_resv_add_fence(dmabuf->resv, fence, usage);
	dma_resv_unlock(dmabuf->resv);
	return fence;
}
EXPORT_SYMBOL_IF_KUNIT(mock_fence);

struct mock_signaller {
	struct delayed_work work;
	struct dma_fence *fence;
};

static void mock_signal_work(struct work_struct *work)
{
	struct mock_signaller *sig = container_of(to_delayed_work(work),
						  struct mock_signaller, work);

	dma_fence_signal(sig->fence);
}

static void mock_signal_exit(void *data)
{
	struct mock_signaller *sig = data;

	cancel_delayed_work_sync(&sig->work);
}

/* A fence that signals @ms from now. */
struct dma_fence *mock_fence_in(struct kunit *test, struct dma_buf *dmabuf,
				enum dma_resv_usage usage, unsigned int ms)
{
	struct mock_signaller *sig = kunit_kzalloc(test, sizeof(*sig),
						   GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, sig);
	INIT_DELAYED_WORK(&sig->work, mock_signal_work);
	sig->fence = mock_fence(test, dmabuf, usage);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   mock_signal_exit,
							   sig));
	schedule_delayed_work(&sig->work, msecs_to_jiffies(ms));
	return sig->fence;
}
EXPORT_SYMBOL_IF_KUNIT(mock_fence_in);

/*
 * Domain
 */

/* One call of map_pages(), or what unmap_pages() left of it. */
struct mock_extent {
	u64 iova;
	u64 len;
	phys_addr_t paddr;
	size_t pgsize;
	int prot;
};

static struct mock_domain *to_mock_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct mock_domain, domain);
}

static int mock_insert(struct mock_domain *dom, const struct mock_extent *proto)
{
	struct mock_extent *ext = kmemdup(proto, sizeof(*proto), GFP_KERNEL);

	if (!ext)
		return -ENOMEM;
	if (mtree_insert_range(&dom->maps, ext->iova, ext->iova + ext->len - 1,
			       ext, GFP_KERNEL)) {
		dom->nr_errors++;
		kfree(ext);
		return -EADDRINUSE;
	}
	dom->mapped += ext->len;
	return 0;
}

static int mock_map_pages(struct iommu_domain *domain, unsigned long iova,
			  phys_addr_t paddr, size_t pgsize, size_t pgcount,
			  int prot, gfp_t gfp, size_t *mapped)
{
	struct mock_domain *dom = to_mock_domain(domain);
	bool fail = ++dom->nr_map == dom->fail_map;
	struct mock_extent ext = {
		.iova = iova,
		.len = pgsize * (fail ? pgcount / 2 : pgcount),
		.paddr = paddr,
		.pgsize = pgsize,
		.prot = prot,
	};
	int ret;

	dom->max_pgsize = max(dom->max_pgsize, pgsize);
	if (!IS_ALIGNED(iova | paddr, pgsize) || !(gfp & __GFP_ACCOUNT))
		dom->nr_errors++;
	if (fail && (!dom->fail_partly || !ext.len))
		return -ENOSPC;
	ret = mock_insert(dom, &ext);
	if (ret)
		return ret;
	*mapped = ext.len;
	return fail ? -ENOSPC : 0;
}

/* Take the part of the extent that lies below @end; a page is not split. */
static u64 mock_remove(struct mock_domain *dom, struct mock_extent *ext,
		       u64 end)
{
	u64 len = min(ext->len, end - ext->iova);

	mtree_erase(&dom->maps, ext->iova);
	dom->mapped -= ext->len;
	if (len % ext->pgsize)
		dom->nr_errors++;
	if (len < ext->len) {
		ext->iova += len;
		ext->paddr += len;
		ext->len -= len;
		mock_insert(dom, ext);
	}
	kfree(ext);
	return len;
}

static size_t mock_unmap_pages(struct iommu_domain *domain, unsigned long iova,
			       size_t pgsize, size_t pgcount,
			       struct iommu_iotlb_gather *gather)
{
	struct mock_domain *dom = to_mock_domain(domain);
	u64 pos = iova, end = iova + pgsize * pgcount;
	struct mock_extent *ext;

	dom->nr_unmap++;
	while (pos < end) {
		ext = mtree_load(&dom->maps, pos);
		if (!ext || ext->iova != pos) {
			dom->nr_errors++;
			break;
		}
		pos += mock_remove(dom, ext, end);
	}
	return pos - iova;
}

static phys_addr_t mock_iova_to_phys(struct iommu_domain *domain,
				     dma_addr_t iova)
{
	struct mock_extent *ext = mtree_load(&to_mock_domain(domain)->maps,
					     iova);

	return ext ? ext->paddr + (iova - ext->iova) : 0;
}

static int mock_sync_map(struct iommu_domain *domain, unsigned long iova,
			 size_t size)
{
	struct mock_domain *dom = to_mock_domain(domain);

	dom->nr_sync_map++;
	return dom->fail_sync_map ? -EIO : 0;
}

static void mock_sync(struct iommu_domain *domain,
		      struct iommu_iotlb_gather *gather)
{
	to_mock_domain(domain)->nr_sync++;
}

static const struct iommu_domain_ops mock_domain_ops = {
	.map_pages = mock_map_pages,
	.unmap_pages = mock_unmap_pages,
	.iotlb_sync_map = mock_sync_map,
	.iotlb_sync = mock_sync,
	.iova_to_phys = mock_iova_to_phys,
};

static void mock_domain_exit(void *data)
{
	struct mock_domain *dom = data;

	KUNIT_EXPECT_EQ_MSG(dom->test, dom->mapped, 0, "left in the domain");
	KUNIT_EXPECT_EQ_MSG(dom->test, dom->nr_errors, 0,
			    "misuse of the domain's operations");
	mtree_destroy(&dom->maps);
}

struct mock_domain *mock_domain(struct kunit *test, unsigned long pgsizes)
{
	struct mock_domain *dom = kunit_kzalloc(test, sizeof(*dom), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, dom);
	mt_init(&dom->maps);
	dom->test = test;
	dom->domain.type = IOMMU_DOMAIN_UNMANAGED;
	dom->domain.ops = &mock_domain_ops;
	dom->domain.pgsize_bitmap = pgsizes;
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   mock_domain_exit,
							   dom));
	return dom;
}
EXPORT_SYMBOL_IF_KUNIT(mock_domain);

static void mock_unmap_domain_exit(void *data)
{
	struct dma_buf_phys_domain_map *map = data;
	struct dma_buf *dmabuf = map->attach->dmabuf;

	dma_resv_lock(dmabuf->resv, NULL);
	dma_buf_phys_unmap_domain(map);
	dma_resv_unlock(dmabuf->resv);
}

/* The map, which the end of the test unmaps, or an ERR_PTR. */
struct dma_buf_phys_domain_map *
mock_map_domain(struct mock_importer *imp, struct mock_domain *dom, u64 iova,
		u64 offset, u64 len, int prot, bool small_pages)
{
	struct dma_buf *dmabuf = imp->attach->dmabuf;
	struct dma_buf_phys_domain_map *map;
	int ret;

	map = kunit_kzalloc(dom->test, sizeof(*map), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(dom->test, map);

	dma_resv_lock(dmabuf->resv, NULL);
	ret = dma_buf_phys_map_domain(imp->attach, map, &dom->domain, iova,
				      offset, len, prot, small_pages);
	dma_resv_unlock(dmabuf->resv);
	if (ret)
		return ERR_PTR(ret);
	KUNIT_ASSERT_EQ(dom->test, 0,
			kunit_add_action_or_reset(dom->test,
						  mock_unmap_domain_exit, map));
	return map;
}
EXPORT_SYMBOL_IF_KUNIT(mock_map_domain);

void mock_unmap_domain(struct kunit *test, struct dma_buf_phys_domain_map *map)
{
	kunit_release_action(test, mock_unmap_domain_exit, map);
}
EXPORT_SYMBOL_IF_KUNIT(mock_unmap_domain);

/* Steps through a huge slice that is not probed page by page. */
#define MOCK_MAX_PROBES		512

static bool mock_translates(struct mock_domain *dom, u64 iova,
			    phys_addr_t paddr, int prot)
{
	struct mock_extent *ext = mtree_load(&dom->maps, iova);

	return ext && ext->paddr + (iova - ext->iova) == paddr &&
	       ext->prot == prot;
}

/* Every page of the slice, or evenly spaced ones, and the first and last byte. */
void mock_expect_translates(struct mock_domain *dom, const struct phys_vec *vec,
			    u64 iova, u64 offset, u64 len, int prot)
{
	u64 step = 1UL << __ffs(dom->domain.pgsize_bitmap);
	unsigned int wrong = 0;
	u64 at;

	if (len / step > MOCK_MAX_PROBES)
		step *= len / step / MOCK_MAX_PROBES;
	for (at = 0; at < len; at += step)
		wrong += !mock_translates(dom, iova + at,
					  mock_paddr(vec, offset + at), prot);
	at = len - 1;
	wrong += !mock_translates(dom, iova + at, mock_paddr(vec, offset + at),
				  prot);
	KUNIT_EXPECT_EQ_MSG(dom->test, wrong, 0,
			    "pages of iova %#llx length %#llx", iova, len);
}
EXPORT_SYMBOL_IF_KUNIT(mock_expect_translates);

MODULE_IMPORT_NS("DMA_BUF");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_DESCRIPTION("Mocks for the KUnit tests of dma-buf-phys");
MODULE_LICENSE("GPL");
