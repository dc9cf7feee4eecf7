#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: the guest has the devices that every test may count on
# topology: root virtio-iommu scalable scalable-first switch refused big
# boot: own
# flavour: plain
# timeout: 60

echo "TAP version 13"
n=0
ok() {
	n=$((n + 1))
	if [ "$1" = "$2" ]; then echo "ok $n $3"; else
		echo "# wanted '$2', got '$1'"
		echo "not ok $n $3"
	fi
}

# devices VENDOR DEVICE: their addresses
devices() {
	for dir in /sys/bus/pci/devices/*; do
		[ "$(cat "$dir/vendor" "$dir/device" | tr '\n' ' ')" = "0x$1 0x$2 " ] && basename "$dir"
	done
}

# bar ADDRESS NUMBER: its size in MiB
bar() {
	awk "NR == $2 + 1" "/sys/bus/pci/devices/$1/resource" | {
		read -r start last _
		echo $(((last - start + 1) >> 20))
	}
}

exporter=$(devices 1af4 1110)
initiators=$(devices 1234 11e8)
nvme=$(devices 1b36 0010)

case $TOPOLOGY in big) size=1048576 ;; *) size=64 ;; esac
ok "$(bar "$exporter" 2)" $size "exporter with a BAR of $size MiB"
ok "$(echo "$initiators" | wc -l)" 2 "two initiators"
ok "$(bar "$nvme" 2)" 16 "nvme with a controller memory buffer"

case $TOPOLOGY in root|virtio-iommu|scalable*|big) want=4 ;; *) want=0 ;; esac
groups=$(for dev in $exporter $initiators $nvme; do
	readlink "/sys/bus/pci/devices/$dev/iommu_group"
done | sort -u | wc -l)
ok "$groups" $want "IOMMU groups of their own: $want"

# Bit 43 of the extended capabilities is scalable mode, 46 and 47 the stages.
case $TOPOLOGY in
scalable) stages=1 ;;
scalable-first) stages=2 ;;
*) stages= ;;
esac
if [ "$stages" ]; then
	ecap=$((0x$(cat /sys/class/iommu/dmar0/intel-iommu/ecap)))
	ok $((ecap >> 43 & 1)) 1 "scalable mode"
	ok $((ecap >> 46 & 3)) $stages "tables of one stage"
fi

bound=0
for dev in $exporter $initiators $nvme; do
	[ -e "/sys/bus/pci/devices/$dev/driver" ] && bound=$((bound + 1))
done
ok $bound 0 "no driver is bound"
modprobe nvme; ok $? 0 "modules can be loaded"
# It cannot go while it still probes.
for _ in 1 2 3 4 5 6 7 8 9 10; do
	modprobe -r nvme 2>/dev/null && break
	sleep 1
done
ok "$(find /sys/module -maxdepth 1 -name nvme)" "" "and removed"
ok "$(vmctl quit)" "not allowed: quit" "the control port refuses what is not on its list"
if [ "$TOPOLOGY" = root ]; then
	dma1=$(echo "$initiators" | tail -n 1)
	vmctl device_del dma1; ok $? 0 "unplug"
	ok "$(devices 1234 11e8 | wc -l)" 1 "it is gone"
	vmctl device_add dma1; ok $? 0 "plug in again"
	# Five seconds, and as long as a slow emulator takes.
	for _ in $(seq 30); do
		[ -e "/sys/bus/pci/devices/$dma1" ] && break
		sleep 1
	done
	ok "$(devices 1234 11e8 | wc -l)" 2 "it is back"
fi
echo "1..$n"
