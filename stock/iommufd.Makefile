# SPDX-License-Identifier: GPL-2.0-only
# Added to the Makefile of iommufd: what is in vmlinux where iommufd is configured. The
# kernel has the other half of interval_tree.c already, so its names differ here.
iommufd-y += iova_bitmap.o interval_tree.o
CFLAGS_interval_tree.o := $(foreach name,insert remove subtree_search iter_first iter_next, \
	-Dinterval_tree_$(name)=iommufd_tree_$(name))
