#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: the root of a distribution has what tests with "root: debian" count on
# root: debian
# flavour: plain
# timeout: 60
# needs: tests/guest/topology.sh
# shellcheck source=tests/lib/tap.sh
. /lib/tap.sh

grep -q '^ID=debian' /etc/os-release
ok $? "a Debian: $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)"
grep -q ' / overlay rw' /proc/mounts
ok $? "below a RAM disk"
grep -qx 1 /sys/block/vda/ro; ok $? "the disk is read only"
touch /usr/bin/new && rm -r /usr/share/doc/perftest && mkdir /usr/share/doc/perftest
ok $? "everything can be written, replaced, removed"
for dir in /dev/pts /dev/shm /proc /sys /sys/kernel/debug /sys/kernel/tracing /sys/fs/cgroup; do
	grep -q " $dir " /proc/mounts; ok $? "$dir is mounted"
done
[ "$(id -u) $(pwd) $HOME" = "0 /tmp /root" ] && [ -n "$FLAVOUR" ] && [ -n "$TOPOLOGY" ]
ok $? "environment and directory are those of every test"
[ -x "$0" ] && [ -x /needs/topology.sh ] && [ -r /lib/counts.sh ]
ok $? "the test finds its files"
modprobe rdma_rxe && [ -d /sys/module/rdma_rxe ] && modprobe -r rdma_rxe
ok $? "modules can be loaded and removed"
ip link add test0 type dummy && ip link del test0
ok $? "the kernel loads modules by itself"
vmctl query_pci | grep -q '"qdev_id": "exporter"'
ok $? "vmctl works"
plan
