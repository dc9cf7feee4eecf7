// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cable between two hosts. See rdma_net.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rdma_net.h"
#include "report.h"

/* Room for packets with 4096 bytes of data. */
#define MTU		4500

#define LAY \
	"modprobe -a ib_uverbs rdma_ucm rdma_rxe veth && " \
	"ip link add rxe_host_a mtu %d type veth peer name rxe_host_b mtu %d && " \
	"ip link set rxe_host_b netns /proc/%d/fd/%d"
#define UP \
	"ip link set lo up && ip addr add %s/24 dev %s && " \
	"ip link set %s up && rdma link add %s type rxe netdev %s"
#define DOWN	"rdma link delete %s"
#define CLEAR	"ip link delete rxe_host_a 2>/dev/null; true"

static struct {
	pid_t owner;
	int netns[2];
} net;

static const char * const names[] = { "rxe_host_a", "rxe_host_b" };
static const char * const addresses[] = { "192.0.2.1", "192.0.2.2" };

int rdma_net_namespace(enum rdma_side side)
{
	return net.netns[side];
}

const char *rdma_net_device(enum rdma_side side)
{
	return names[side];
}

const char *rdma_net_address(enum rdma_side side)
{
	return addresses[side];
}

/* Run a script in the namespace. */
static int run(int netns, const char *script)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (!setns(netns, CLONE_NEWNET))
			execl("/bin/sh", "sh", "-c", script, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

static void must_run(int netns, const char *script)
{
	if (run(netns, script))
		die("this failed: %s", script);
}

static int open_netns(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("open /proc/self/ns/net: %s", strerror(errno));
	return fd;
}

static void up(enum rdma_side side)
{
	const char *name = names[side];
	char script[256];

	snprintf(script, sizeof(script), UP, addresses[side], name, name, name,
		 name);
	must_run(net.netns[side], script);
}

/* Devices first: a namespace that ends would take them away behind our back. */
static void take_away(void)
{
	char script[64];
	int side;

	if (getpid() != net.owner)
		return;
	for (side = RDMA_A; side <= RDMA_B; side++) {
		snprintf(script, sizeof(script), DOWN, names[side]);
		run(net.netns[side], script);
	}
	run(net.netns[RDMA_A], CLEAR);
}

void rdma_net_open(void)
{
	char script[256];

	net.owner = getpid();
	net.netns[RDMA_A] = open_netns();
	if (unshare(CLONE_NEWNET))
		die("unshare: %s", strerror(errno));
	net.netns[RDMA_B] = open_netns();
	if (setns(net.netns[RDMA_A], CLONE_NEWNET))
		die("setns: %s", strerror(errno));
	run(net.netns[RDMA_A], CLEAR);
	snprintf(script, sizeof(script), LAY, MTU, MTU, getpid(),
		 net.netns[RDMA_B]);
	must_run(net.netns[RDMA_A], script);
	atexit(take_away);
	up(RDMA_A);
	up(RDMA_B);
}
