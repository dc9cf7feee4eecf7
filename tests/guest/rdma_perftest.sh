#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: perftest, the pingpongs and rping of the distribution between two hosts, on ordinary memory and on dma-bufs
# root: debian
# flavour: plain
# timeout: 240
# needs: tests/preload/mr_dmabuf.c
#
# The programs are not modified. They know no dma-buf that they could get here:
# perftest's --use_*_dmabuf options are those of GPU libraries, and what --mmap=FILE
# maps is registered as ordinary memory, which a dma-buf's pages cannot be (and a
# dma-buf has no path). So a preload library replaces the pages of the buffer.
#
# shellcheck source=tests/lib/tap.sh
. /lib/tap.sh
# shellcheck source=tests/lib/rxe.sh
. /lib/rxe.sh

# on HOST KIND PROGRAM..: run it there; KIND of memory: own, heap, udmabuf, bar
on() {
	on_host=$1 on_kind=$2
	shift 2
	if [ "$on_kind" != own ]; then
		set -- env "MR_DMABUF=$on_kind" LD_PRELOAD=/needs/mr_dmabuf "$@"
	fi
	timeout 30 ip netns exec "$on_host" "$@"
}

# listening: the server waits for its client, on TCP or in the RDMA CM
listening() {
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		ip netns exec a ss -Htln | grep -q . && return
		ip netns exec a rdma resource show cm_id | grep -q LISTEN && return
		sleep 0.2
	done
	return 1
}

# in_dmabuf LOG KIND: a buffer was in a dma-buf, unless none was to be
in_dmabuf() {
	[ "$2" = own ] || grep -q "^mr_dmabuf: [1-9].* ($2)\$" "$1"
}

# both SERVER CLIENT PROGRAM..: it runs on a, then on b with a's address added;
# SERVER and CLIENT say what kind of memory each has
both() {
	server=$1 client=$2
	shift 2
	case $1 in
	rping) as_server="-s -a 10.9.0.1" as_client="-c -a 10.9.0.1" ;;
	ib_*) as_server="-d rxe_a" as_client="-d rxe_b 10.9.0.1" ;;
	*) as_server="-d rxe_a -g 1" as_client="-d rxe_b -g 1 10.9.0.1" ;;
	esac
	# shellcheck disable=SC2086	# lists of words
	on a "$server" "$@" $as_server > /tmp/server.log 2>&1 &
	listening
	# shellcheck disable=SC2086
	on b "$client" "$@" $as_client > /tmp/client.log 2>&1
	client_status=$?
	wait $!
	server_status=$?
	[ "$server_status $client_status" = "0 0" ] && in_dmabuf /tmp/server.log "$server" &&
		in_dmabuf /tmp/client.log "$client"
	ok $? "$*, memory: $server, $client" && return
	sed 's/^/# server: /' /tmp/server.log
	sed 's/^/# client: /' /tmp/client.log
}

# The pingpongs and rping compare what they receive.
some() {
	both "$@" ibv_rc_pingpong -c -s 65536 -n 20
	both "$@" rping -S 16384 -C 10 -V
	both "$@" ib_write_bw -F -s 65536 -n 20
	both "$@" ib_read_bw -F -s 65536 -n 20
}

others() {
	both "$@" ibv_uc_pingpong -c -s 65536 -n 20
	both "$@" ibv_ud_pingpong -c -s 4000 -n 20
	both "$@" ib_send_bw -F -s 65536 -n 20
	both "$@" ib_atomic_bw -F -n 20
	both "$@" ib_write_lat -F -s 8 -n 20
}

rxe_pair
some own own
others own own
some bar heap
others bar heap
some udmabuf bar
rxe_gone
plan
