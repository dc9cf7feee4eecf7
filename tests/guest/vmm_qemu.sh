#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: the distribution's QEMU, unmodified, assigns devices through iommufd; it exports and maps their BARs on its own
# root: qemu
# flavour: plain
# tier: check
# timeout: 240
# needs: tests/guest/iommufd_dmabuf.c
#
# It knows nothing of suspend and restore: it was written for a kernel on which a reset
# kills a mapping. What its device driver would do is done by hand, see vmm.sh; its
# addresses are those of its guest, and DMA from one assigned device to another goes
# through the mappings that it made.
#
# shellcheck source=tests/lib/tap.sh
. /lib/tap.sh
# shellcheck source=tests/lib/vmm.sh
. /lib/vmm.sh

state=/sys/kernel/debug/dma_buf_phys
tracing=/sys/kernel/tracing
memory=0x1000000	# of the inner machine, where its firmware keeps nothing
ivshmem=0 edu0=1	# in the order of vmm_devices

# events PATTERN: how many of the events since the last forget
events() { grep -c "$1" $tracing/trace; }
forget() { echo > $tracing/trace; }

# bars: each BAR of a page or more, as "address bar size"
bars() {
	for host in $vmm_hosts; do
		number=0
		head -n 6 "$vmm_pci/$host/resource" | while read -r start end _; do
			size=$((end - start + 1))
			[ $size -lt 4096 ] || echo "$host $number $size"
			number=$((number + 1))
		done
	done
}

# exported: what is exported as a whole, in the same form
exported() {
	sed -n '/^buffer/ { N; s/^buffer.* size \([0-9]*\) .* device \(.*\)\n *range 0 bar \([0-9]\) offset 0x0 length .*/\2 \3 \1/p }' $state
}

nr_states() { grep -c "^buffer.* state $1 " $state; }

# all_mapped: every buffer is live, and whoever attached has a live mapping
all_mapped() {
	[ "$(nr_states live)" = "$nr_bars" ] &&
		[ "$(grep -c '^buffer.* maps [1-9]' $state)" = "$nr_bars" ] &&
		[ "$(grep -c 'view domain maps 1 dead 0' $state)" = "$(grep -c ' importer iommufd ' $state)" ]
}

# at_rest: all is mapped and stays so. QEMU unmaps the BARs of a device for a second
# when it interrupts, as the disk does when the firmware looks for something to boot.
at_rest() {
	all_mapped || return 1
	before=$(events .)
	sleep 2
	[ "$before" = "$(events .)" ] && all_mapped
}

nothing_left() {
	! grep -q ^buffer $state && grep -q '^Total 0 objects' /sys/kernel/debug/dma_buf/bufinfo
}

# arrange: a new pattern in the buffer of the edu device, and another in the BAR
arrange() {
	pattern=$((pattern + 1))
	command $edu0 6 && bar $ivshmem 2 || return
	window=$value
	qtest memset $memory 0x1000 $pattern &&
		edu_copy $edu0 1 $memory 0x40000 &&
		qtest memset "$window" 0x3000 0
}

# window_is PATTERN: the middle page of three has it, the others are empty
window_is() {
	qtest memset $memory 0x3000 0 &&
		qtest memset $((memory + 0x1000)) 0x1000 "$1" &&
		qtest read $memory 0x3000 || return
	wanted=$value
	qtest read "$window" 0x3000 && [ "$value" = "$wanted" ]
}

dma_arrives() {
	arrange && edu_copy $edu0 3 0x40000 $((window + 0x1000)) && window_is $pattern
}

# only_bar0: what it complains of is the BAR of 256 bytes, which cannot be exported
only_bar0() {
	[ "$(grep -c 'dma-buf unavailable' vmm.log)" = 1 ] &&
		! grep -v "$exporter BAR 0: dma-buf unavailable\|Bad address\|peer-to-peer" vmm.log &&
		return
	sed 's/^/# /' vmm.log
	return 1
}

vmm_devices 0x1af4:0x1110 0x1234:0x11e8 0x1b36:0x0010
exporter=$(echo "$vmm_hosts" | cut -d ' ' -f 2)
nr_bars=$(bars | wc -l)
pattern=0
echo 1 > $tracing/events/dma_buf_phys/enable
forget

vmm_start && vmm_until 60 at_rest
vmm_runs
ok $? "QEMU runs with $(echo "$vmm_hosts" | wc -w) devices: $(sed -n 's/.*"package": "\([^"]*\)".*/\1/p' qmp.out)" || {
	sed 's/^/# /' vmm.log
	plan
	exit 1
}
[ "$(bars | sort)" = "$(exported | sort)" ] && [ "$(events phys_export:)" = "$nr_bars" ]
ok $? "it exported each of the $nr_bars BARs once, as a whole"
all_mapped
ok $? "it mapped each of them: $(grep -c ' importer iommufd ' $state) mappings"
dma_arrives
ok $? "DMA from one device into the other's BAR arrives"

arrange
forget
command $ivshmem 0
[ "$(nr_states suspended)" = 1 ] && [ "$(events phys_detach:)" = 1 ]
ok $? "decode off: the BAR is suspended, and QEMU unmaps it"
edu_copy $edu0 3 0x40000 $((window + 0x1000))
copied=$?
command $ivshmem 2
all_mapped && [ "$(events phys_attach:)" = 1 ]
ok $? "decode on: QEMU maps it again"
[ $copied = 0 ] && window_is 0
ok $? "DMA in between changed no byte"
dma_arrives
ok $? "DMA arrives again"

forget
echo 1 > "$vmm_pci/$exporter/reset"
[ "$(events 'phys_stop: .*suspended=reset ')" = 1 ] && [ "$(events phys_unmap:)" = 1 ]
ok $? "a reset that QEMU does not know of: the mapping is away"
all_mapped && [ "$(events phys_map:)" = 1 ] && [ "$(events 'phys_attach:\|phys_detach:')" = 0 ]
ok $? "it is back, and QEMU had no part in it"
vmm_runs && dma_arrives
ok $? "QEMU runs on, and DMA arrives where it did"
command $ivshmem 0 && command $ivshmem 2 && all_mapped && dma_arrives
ok $? "it can still unmap and map: DMA arrives"

forget
qmp system_reset > /dev/null
sleep 1
vmm_until 60 at_rest
ok $? "system_reset: all is mapped again"
attached=$(events phys_attach:)
[ "$attached" -ge "$nr_bars" ] && [ "$attached" = "$(events phys_detach:)" ] &&
	[ "$(events phys_export:)" = 0 ]
ok $? "by QEMU, from the same exports: unmapped and mapped $attached times"
vmm_runs && dma_arrives
ok $? "QEMU runs on, and DMA arrives"

qmp quit > /dev/null
wait "$vmm"
ok $? "quit: QEMU ends well"
nothing_left
ok $? "no buffer is left"
only_bar0
ok $? "QEMU complained of nothing but the BAR that is smaller than a page"

vmm_start
vmm_until 60 at_rest && dma_arrives
ok $? "QEMU starts again on the same devices: DMA arrives"
forget
touch resetting
while [ -e resetting ]; do echo 1 > "$vmm_pci/$exporter/reset"; done &
resets=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
	command $ivshmem 0
	command $ivshmem 2
done
rm resetting
wait $resets
echo "# it mapped $(events phys_attach:) times, of which $(events phys_pin:) were not refused"
vmm_runs && [ "$(events 'phys_stop: .*suspended=reset')" -ge 10 ]
ok $? "resets again and again, while QEMU unmaps and maps: it runs on"
command $ivshmem 0 && command $ivshmem 2 && vmm_until 60 at_rest && dma_arrives
ok $? "when it maps next, all is mapped: DMA arrives"

edu_start $edu0 3 0x40000 $((window + 0x1000))
kill -KILL "$vmm"
wait "$vmm" 2> wait.log
vmm_until 10 nothing_left
ok $? "SIGKILL in the middle of it: no buffer is left"
/needs/iommufd_dmabuf -r map.one.arrives > after.log 2>&1
ok $? "another program opens the devices, exports and maps: DMA arrives" ||
	sed 's/^/# /' after.log
plan
