#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: our own IGT tests, by IGT's runner
# root: debian
# flavour: plain
# topology: gpu
# timeout: 400
# params: kunit.enable=1 kunit.autorun=1
# needs: tests/igt/igt_tap.py tests/igt/dmabuf_phys.c tests/igt/vfio_dmabuf.c tests/igt/iommufd_dmabuf.c tests/igt/rdma_dmabuf.c tests/igt/prime_phys.c
# shellcheck source=tests/lib/rxe.sh
. /lib/rxe.sh
rxe_alone
modprobe -a vgem vkms virtio-gpu
set --
for test in dmabuf_phys vfio_dmabuf iommufd_dmabuf rdma_dmabuf prime_phys; do
	set -- "$@" "$test=/needs/$test"
done
sh /lib/igt.sh "$@"
status=$?
rxe_gone
exit $status
