#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The kernel's own vfio selftests keep their counts, on a network device. Those
# that skip want huge pages of 1 GiB.
#
# flavour: plain
# topology: igb
# tier: check
# timeout: 400
# memory: 4G
# selftest: vfio/vfio_dma_mapping_mmio_test vfio/vfio_iommufd_setup_test vfio/vfio_pci_device_test vfio/vfio_dma_mapping_test vfio/vfio_pci_driver_test
set -u
tests=/selftests/vfio
echo 128 > /proc/sys/vm/nr_hugepages

for dir in /sys/bus/pci/devices/*; do
	[ "$(cat "$dir/vendor" "$dir/device" | tr '\n' ' ')" = "0x8086 0x10c9 " ] && bdf=${dir##*/}
done
echo vfio-pci > "/sys/bus/pci/devices/$bdf/driver_override"
echo "$bdf" > /sys/bus/pci/drivers/vfio-pci/bind

echo "TAP version 13"
echo "1..5"
n=0
# count NAME "TOTALS" ARGS..: one case, the totals of one program
count() {
	name=$1 want=$2
	shift 2
	n=$((n + 1))
	"$tests/$name" "$@" "$bdf" > /tmp/vfio.log 2>&1
	if grep -q "^# Totals: $want" /tmp/vfio.log; then
		echo "ok $n $name $want"
	else
		sed 's/^/# /' /tmp/vfio.log
		echo "not ok $n $name $want"
	fi
}
count vfio_dma_mapping_mmio_test "pass:15 fail:0 xfail:0 xpass:0 skip:0"
count vfio_iommufd_setup_test "pass:6 fail:0 xfail:0 xpass:0 skip:0"
count vfio_pci_device_test "pass:5 fail:0 xfail:0 xpass:0 skip:0"
count vfio_dma_mapping_test "pass:25 fail:0 xfail:0 xpass:0 skip:5"
count vfio_pci_driver_test "pass:7 fail:0 xfail:0 xpass:0 skip:0" -v iommufd
