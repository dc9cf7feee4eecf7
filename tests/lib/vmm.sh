#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# To be read by a test in sh that runs QEMU in the guest, with the guest's PCI devices
# assigned to it. There is no kernel in it: its firmware programs the BARs, and what
# a driver would do is done through QEMU's qtest protocol.

vmm_pci=/sys/bus/pci/devices
vmm_slot=4		# of the first device

# vmm_until SECONDS COMMAND...: until that succeeds, which may call this, too
vmm_until() {
	vmm_tries=$(($1 * 5))
	shift
	set -- $vmm_tries "$@"
	until vmm_try "$@"; do
		vmm_tries=$(($1 - 1))
		[ $vmm_tries -gt 0 ] || return 1
		shift
		set -- $vmm_tries "$@"
		sleep 0.2
	done
}

vmm_try() {
	shift
	"$@"
}

# vmm_devices VENDOR:DEVICE...: give all of them to vfio-pci; their addresses are in
# $vmm_hosts, in this order
vmm_devices() {
	vmm_hosts=
	for vmm_id; do
		for vmm_path in "$vmm_pci"/*; do
			[ "$(cat "$vmm_path/vendor"):$(cat "$vmm_path/device")" = "$vmm_id" ] || continue
			echo vfio-pci > "$vmm_path/driver_override"
			echo "${vmm_path##*/}" > /sys/bus/pci/drivers_probe
			vmm_hosts="$vmm_hosts ${vmm_path##*/}"
		done
	done
}

# vmm_start: QEMU with these devices, the first at slot $vmm_slot. Its process is
# $vmm, what it says is in vmm.log.
vmm_start() {
	rm -f qmp.* qtest.*
	mkfifo qmp.in qtest.in
	exec 5<> qmp.in 6<> qtest.in
	qmp_nr=0
	qtest_nr=0
	vmm_mute=
	set --
	vmm_next=$vmm_slot
	for vmm_host in $vmm_hosts; do
		set -- "$@" -device "vfio-pci,host=$vmm_host,iommufd=iommufd0,addr=$vmm_next"
		vmm_next=$((vmm_next + 1))
	done
	qemu-system-x86_64 -machine q35 -accel tcg -m 64 -display none -nodefaults \
		-chardev file,id=qmp,path=qmp.out,input-path=qmp.in -qmp chardev:qmp \
		-chardev file,id=qtest,path=qtest.out,input-path=qtest.in \
		-qtest chardev:qtest -qtest-log /dev/null \
		-object iommufd,id=iommufd0 "$@" > vmm.log 2>&1 &
	# shellcheck disable=SC2034	# the test waits for it
	vmm=$!
	qmp qmp_capabilities > /dev/null
}

# vmm_answer COMMAND...: until it succeeds. Who did not answer once is not waited for
# again.
vmm_answer() {
	[ -z "$vmm_mute" ] || return 1
	vmm_until 30 "$@" && return
	vmm_mute=yes
	echo "# QEMU does not answer; it said:"
	sed 's/^/# /' vmm.log
	return 1
}

# qmp COMMAND: its answer, JSON in one line
qmp() {
	qmp_nr=$((qmp_nr + 1))
	echo "{\"execute\": \"$1\", \"id\": $qmp_nr}" >&5
	vmm_answer grep -s "^{\"return\".*\"id\": $qmp_nr}" qmp.out
}

vmm_runs() { qmp query-status | grep -q '"running": true'; }

qtest_answered() { [ "$(wc -l < qtest.out)" -ge "$qtest_nr" ]; }

# qtest COMMAND...: what it read is in $value
qtest() {
	qtest_nr=$((qtest_nr + 1))
	echo "$*" >&6
	vmm_answer qtest_answered || return
	value=$(tail -n 1 qtest.out)
	case $value in
	OK*) value=${value#OK} value=${value# } ;;
	*) echo "# qtest $*: $value"; return 1 ;;
	esac
}

# config_select NTH REGISTER: of the nth device, from 0
config_select() {
	qtest outl 0xcf8 $((0x80000000 | ($1 + vmm_slot) << 11 | $2))
}

# command NTH BITS: write the PCI command register; 2: memory, 4: bus master
command() {
	config_select "$1" 4 && qtest outw 0xcfc "$2"
}

# bar NTH BAR: where the firmware put it; in $value
bar() {
	config_select "$1" $((0x10 + 4 * $2)) && qtest inl 0xcfc || return
	value=$((value & ~15))
}

# edu_start NTH COMMAND FROM TO: a transfer of 4096 bytes by an edu device; 1: into
# the device's buffer, which is at 0x40000, 3: out of it
edu_start() {
	bar "$1" 0 || return
	edu=$value
	qtest writeq $((edu + 0x80)) "$3" && qtest writeq $((edu + 0x88)) "$4" &&
		qtest writeq $((edu + 0x90)) 4096 && qtest writeq $((edu + 0x98)) "$2"
}

edu_idle() {
	qtest readq $((edu + 0x98)) && [ $((value & 1)) = 0 ]
}

edu_copy() {
	edu_start "$@" && vmm_until 10 edu_idle
}
