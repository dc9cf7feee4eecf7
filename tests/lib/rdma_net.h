/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cable between two hosts: rxe devices in two network namespaces joined by
 * veth. Side A is in the program's own namespace.
 */
#ifndef TESTS_LIB_RDMA_NET_H
#define TESTS_LIB_RDMA_NET_H

enum rdma_side { RDMA_A, RDMA_B };

/* Lay it, or die, once; it is taken away when the program ends. */
void rdma_net_open(void);

/* A side's device, its IPv4 address, and a file descriptor of its namespace. */
const char *rdma_net_device(enum rdma_side side);
const char *rdma_net_address(enum rdma_side side);
int rdma_net_namespace(enum rdma_side side);

#endif
