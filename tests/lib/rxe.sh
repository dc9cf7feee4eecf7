#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# To be read by a test in sh that needs software RDMA devices.

# rxe_alone: rxe0 with the address 10.9.0.1, on one end of a veth pair
rxe_alone() {
	rxe_modules
	ip link add veth0 type veth peer name veth1
	ip addr add 10.9.0.1/24 dev veth0
	ip link set lo up
	ip link set veth0 up
	ip link set veth1 up
	rdma link add rxe0 type rxe netdev veth0
	rxe_wait rxe0
}

# rxe_pair: two hosts, which are network namespaces: rxe_a with 10.9.0.1 in "a",
# rxe_b with 10.9.0.2 in "b"; packets between them have up to 4096 bytes
rxe_pair() {
	rxe_modules
	ip netns add a
	ip netns add b
	ip link add veth_a netns a type veth peer name veth_b netns b
	number=1
	for host in a b; do
		ip -n $host addr add 10.9.0.$number/24 dev veth_$host
		ip -n $host link set lo up
		ip -n $host link set veth_$host up
		ip -n $host link set veth_$host mtu 9000
		ip netns exec $host rdma link add rxe_$host type rxe netdev veth_$host
		rxe_wait rxe_$host
		number=$((number + 1))
	done
}

rxe_gone() {
	for device in rxe0 rxe_a rxe_b; do rdma link del $device; done
	ip link del veth0
	ip netns del a
	ip netns del b
} 2>/dev/null

rxe_modules() {
	modprobe -a rdma_rxe rdma_ucm ib_uverbs veth
}

# rxe_wait DEVICE: until its port is up and the address has become a GID
rxe_wait() {
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		grep -q 4: "/sys/class/infiniband/$1/ports/1/state" &&
			grep -q ':ffff:0a09:' "/sys/class/infiniband/$1/ports/1/gids"/* && return
		sleep 0.5
	done 2>/dev/null
	echo "# $1 did not come up"
	return 1
}
