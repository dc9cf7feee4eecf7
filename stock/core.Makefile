# SPDX-License-Identifier: GPL-2.0-only
# Added to the Makefile of the RDMA core: only these two modules are other ones, and
# only what has to do with a umem is not for everybody.
obj-m := ib_core.o ib_uverbs.o
ccflags-y += -include $(src)/own.h
$(foreach name,umem umem_odp umem_dmabuf_phys iter, \
	$(eval CFLAGS_$(name).o += -DDEFAULT_SYMBOL_NAMESPACE='"DMA_BUF_PHYS"'))
