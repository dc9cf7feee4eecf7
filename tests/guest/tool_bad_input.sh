#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: the command answers bad input with a sentence, and with its exit status
# flavour: plain
# topology: refused
# tier: check
# timeout: 60
# needs: tools/dma-buf-phys
# shellcheck source=tests/lib/tap.sh
. /lib/tap.sh

tool=/needs/dma-buf-phys

# says STATUS TEXT WHAT COMMAND...: it ends so, and its last line contains the text
says() {
	want=$1 text=$2 what=$3
	shift 3
	"$@" > /tmp/out 2>&1 < /dev/null
	status=$?
	[ $status = "$want" ] && grep -q -- "$text" /tmp/out
	ok $? "$what" || { echo "# status $status:"; sed 's/^/# /' /tmp/out; }
}

# without TYPE COMMAND...: where no file system of that type is mounted
without() {
	# shellcheck disable=SC2016	# for the inner shell
	unshare -m sh -c 'awk -v t="$1" "\$3 == t { print \$2 }" /proc/mounts | xargs -n 1 umount -l
		shift; exec "$@"' sh "$@"
}

a=0000:02:00.0
[ "$(cat /sys/bus/pci/devices/$a/device)" = 0x11e8 ]
ok $? "$a is the device that the test is about"

# busybox takes users by number only if they have a name.
mkdir -p /etc
echo 'nobody:x:65534:65534::/:/bin/sh' > /etc/passwd

says 0 "usage: " "help" $tool --help
for command in list events "reach $a $a"; do
	name=${command%% *}
	says 0 "usage: dma-buf-phys $name" "help of $name" $tool "$name" --help
	says 2 "unrecognized option" "$name: unknown option" $tool "$name" --frobnicate
	# shellcheck disable=SC2086	# words
	says 2 "this needs root" "$name: not root" \
		start-stop-daemon -S -c 65534:65534 -x $tool -- $command
done
says 2 "usage: " "no command" $tool
says 2 "no command 'frobnicate'" "unknown command" $tool frobnicate
says 2 "list takes no arguments" "list: too many arguments" $tool list 1
says 2 "events takes no arguments" "events: too many arguments" $tool events 1
says 2 "takes two PCI devices" "reach: one device" $tool reach $a
says 2 "takes two PCI devices" "reach: three devices" $tool reach $a $a $a
for name in "" . 1 00:00 02:00.0x 0000:02:00 02:00.0.0; do
	says 2 "not the address of a PCI device" "reach: '$name'" $tool reach $a "$name"
done
says 2 "there is no PCI device 7:00.0" "reach: a device that does not exist" $tool reach 7:00.0 $a
says 0 "no buffers" "list: nothing there" $tool list
says 0 '"buffers": \[\]' "list: nothing there, JSON" $tool list --json
says 1 "cannot reach a BAR of 0000:01:00.0" "reach: a path that does not exist" $tool reach $a 1:0.0
says 1 "host bridge 0000:00:00.0, 8086:29c0: the kernel does not" "reach: what is in the way" \
	$tool reach $a 1:0.0
says 1 "has no memory BAR" "reach: a device without a BAR" $tool reach $a 0:1f.3

says 2 "debugfs is not mounted" "list: no debugfs" without debugfs $tool list
says 2 "tracefs is not mounted" "events: no tracefs" without tracefs $tool events
says 3 "only the kernel knows" "reach: no debugfs" without debugfs $tool reach $a 1:0.0

# The file that the command asks is as strict.
for words in "0000:77:00.0 $a" "$a" "$a frobnicate" " $a $a"; do
	says 1 "No such device" "debugfs: '$words'" \
		sh -c "echo '$words' > /sys/kernel/debug/dma_buf_phys_reach"
done
says 1 "File too large" "debugfs: too long" \
	dd if=/dev/zero of=/sys/kernel/debug/dma_buf_phys_reach bs=8192 count=1 conv=notrunc
plan
