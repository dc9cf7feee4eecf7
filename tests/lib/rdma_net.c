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
#include "uverbs.h"

/* Room for packets with 4096 bytes of data. */
#define MTU		4500

/* In words that the ip of busybox knows, too. */
#define LAY \
	"modprobe -a ib_uverbs rdma_ucm rdma_rxe veth && " \
	"ip link add rxe_host_a type veth && " \
	"other=$(grep -lx $(cat /sys/class/net/rxe_host_a/iflink) " \
	"/sys/class/net/*/ifindex | cut -d / -f 5) && " \
	"ip link set rxe_host_a mtu %d && " \
	"ip link set $other mtu %d name rxe_host_b netns %d"
#define UP \
	"ip link set lo up && ip addr add %s/24 dev %s && ip link set %s up"
/* Without this command, they end with their network device. */
#define DOWN	"! command -v rdma >/dev/null || rdma link delete %s"
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

static int script(const char *text)
{
	execl("/bin/sh", "sh", "-c", text, NULL);
	return -errno;
}

/* Its predecessor of this name may not be gone yet. */
static int add_rxe(const char *name)
{
	unsigned int tries;
	int err = -EIO;

	for (tries = 0; err && tries < 50; tries++) {
		err = rdma_link_add(name, "rxe", name);
		if (err)
			usleep(100000);
	}
	if (err)
		dprintf(STDOUT_FILENO, "# rxe: %s\n", strerror(-err));
	return err;
}

/* In a child that is in the namespace. */
static int run(int netns, int (*act)(const char *arg), const char *arg)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(setns(netns, CLONE_NEWNET) || act(arg));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

static void must_run(int netns, int (*act)(const char *arg), const char *arg)
{
	if (run(netns, act, arg))
		die("this failed: %s", arg);
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
	char text[128];

	snprintf(text, sizeof(text), UP, addresses[side], name, name);
	must_run(net.netns[side], script, text);
	must_run(net.netns[side], add_rxe, name);
}

/* Devices first: a namespace that ends would take them away behind our back. */
static void take_away(void)
{
	char text[128];
	int side;

	if (getpid() != net.owner)
		return;
	for (side = RDMA_A; side <= RDMA_B; side++) {
		snprintf(text, sizeof(text), DOWN, names[side]);
		run(net.netns[side], script, text);
	}
	run(net.netns[RDMA_A], script, CLEAR);
}

void rdma_net_open(void)
{
	char text[512];

	net.owner = getpid();
	net.netns[RDMA_A] = open_netns();
	if (unshare(CLONE_NEWNET))
		die("unshare: %s", strerror(errno));
	net.netns[RDMA_B] = open_netns();
	run(net.netns[RDMA_A], script, CLEAR);
	/* One end goes to the namespace where this process is. */
	snprintf(text, sizeof(text), LAY, MTU, MTU, getpid());
	must_run(net.netns[RDMA_A], script, text);
	if (setns(net.netns[RDMA_A], CLONE_NEWNET))
		die("setns: %s", strerror(errno));
	atexit(take_away);
	up(RDMA_A);
	up(RDMA_B);
}
