// SPDX-License-Identifier: GPL-2.0-only
/*
 * Demo: who owns a device hands out slices of its BAR, and takes one back.
 *
 * This process has the device, an ivshmem one, whose BAR2 is plain memory. It
 * exports two slices and passes each as a file descriptor over a Unix socket to a
 * client, a process of the user nobody that has no other way to the device. One
 * client maps its slice, the other one registers it for RDMA. Both use them all
 * the time, and count. Each line is one step with the time it took, and says "ok"
 * only if the program checked what it says: every byte of the BAR, also outside
 * the slices, compared with what it should be.
 *
 * flavour: plain
 * topology: root
 * timeout: 180
 * root: debian
 * libs: ibverbs
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel.h"
#include "mapping.h"
#include "rdma.h"
#include "report.h"
#include "scene.h"

#define NOBODY		65534
#define SLICE		0x100000ULL	/* bytes of each */
#define MEM		0x100000	/* plain memory of the peer */
#define FLOOD		0x4000		/* what it writes to over and over */
#define A_WHILE_MS	200
#define PATH_LEN	64

/* Each of two ranges, not ascending. */
static const struct vfio_region_dma_range cpu_ranges[] = {
	{ .offset = 0x2000000, .length = 0xc0000 },
	{ .offset = 0x0500000, .length = 0x40000 },
};

static const struct vfio_region_dma_range rdma_ranges[] = {
	{ .offset = 0x3000000, .length = 0x80000 },
	{ .offset = 0x20c0000, .length = 0x80000 },
};

static const struct layout cpu_layout = { cpu_ranges, 2 };
static const struct layout rdma_layout = { rdma_ranges, 2 };

/*
 * The client that maps its slice. All it gets to know comes by its channel.
 */

enum order {
	ORDER_MAP,		/* what comes with it; compare with the seed */
	ORDER_MAP_AGAIN,	/* only try */
	ORDER_BREAK_OUT,	/* get at the device, or at the other slice */
	ORDER_WORK,
	ORDER_REST,
	ORDER_LOOK,
	ORDER_LEAVE,
};

struct request {
	enum order order;
	__u32 seed;
	char device[PATH_LEN];
};

struct answer {
	int err;
	__u64 done;		/* stores and loads that did what they should */
	__u64 signals;
	__u64 wrong;
};

static struct {
	int dmabuf;
	__u8 *map;
	bool works;
	__u64 next;
	struct answer count;
} client = { .dmabuf = -1 };

/* A store and a load of the same place, one place after the other. */
static void client_work(void)
{
	__u8 *at = client.map + client.next * 8 % SLICE;
	__u64 value = ~client.next;

	client.next++;
	if (touch_store(at, value) || touch_load(at, &value))
		client.count.signals++;
	else if (value != ~(client.next - 1))
		client.count.wrong++;
	else
		client.count.done++;
}

static int client_map(int fd, __u32 seed)
{
	static __u8 want[SLICE], got[SLICE];
	int err;

	client.dmabuf = fd;
	err = dmabuf_map(fd, 0, SLICE, PROT_READ | PROT_WRITE, &client.map);
	if (err)
		return err;
	pattern(want, SLICE, seed);
	if (touch_copy(client.map, want, SLICE) ||
	    touch_copy(got, client.map, SLICE))
		return -EFAULT;
	return memcmp(got, want, SLICE) ? -EILSEQ : 0;
}

static int client_map_again(void)
{
	__u8 *map;
	int err = dmabuf_map(client.dmabuf, 0, SLICE, PROT_READ, &map);

	if (!err)
		munmap(map, SLICE);
	return err;
}

/* 0: all was refused, and with the right words. */
static int client_break_out(const char *device)
{
	struct vfio_dev fake = { .fd = client.dmabuf };
	__u8 *map;

	if (getuid() != NOBODY || geteuid() != NOBODY)
		return -EPERM;
	if (open(device, O_RDWR) >= 0 || errno != EACCES)
		return -EEXIST;
	if (vfio_revoke(&fake, client.dmabuf,
			VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_PERM) != -ENOTTY)
		return -EEXIST;
	if (dmabuf_map(client.dmabuf, SLICE, SLICE, PROT_READ, &map) != -EINVAL)
		return -EEXIST;
	return 0;
}

static int client_obey(const struct request *in, int fd)
{
	switch (in->order) {
	case ORDER_MAP:
		return client_map(fd, in->seed);
	case ORDER_MAP_AGAIN:
		return client_map_again();
	case ORDER_BREAK_OUT:
		return client_break_out(in->device);
	case ORDER_WORK:
	case ORDER_REST:
		client.works = in->order == ORDER_WORK;
		return 0;
	default:
		return 0;
	}
}

static void be_client(int channel)
{
	struct pollfd order = { .fd = channel, .events = POLLIN };
	struct request in = { .order = ORDER_LOOK };
	struct answer out;
	int fd;

	become_user(NOBODY);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (in.order != ORDER_LEAVE) {
		while (!poll(&order, 1, client.works ? 0 : -1))
			client_work();
		if (!channel_receive(channel, &in, sizeof(in), &fd))
			break;
		out = client.count;
		out.err = client_obey(&in, fd);
		if (!channel_send(channel, &out, sizeof(out), -1))
			break;
	}
	_exit(EXIT_SUCCESS);
}

/*
 * The owner
 */

struct act {
	struct scene scene;
	struct rdma_host rdma;		/* the client that registers, */
	struct rdma_host peer;		/* and who writes into what it registered */
	struct rdma_qp q_rdma, q_peer, uc_rdma, uc_peer;
	struct rdma_mr mr;
	int channel;			/* to the client that maps */
	int cpu, rdma_slice;		/* dma-bufs */
};

static struct answer tell(struct act *act, struct request request, int fd)
{
	struct answer answer;

	if (!channel_send(act->channel, &request, sizeof(request), fd) ||
	    !channel_receive(act->channel, &answer, sizeof(answer), &fd))
		die("the client is gone");
	return answer;
}

static struct answer order(struct act *act, enum order order)
{
	return tell(act, (struct request){ .order = order }, -1);
}

static bool verdict(const char *what, int err)
{
	if (!err)
		return step_ok();
	return step_failed("%s: %s", what, err == -EILSEQ ?
			   "wrong bytes, see above" : strerror(-err));
}

static void start_client(struct act *act)
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		die("socketpair: %s", strerror(errno));
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (!pid) {
		close(ends[0]);
		be_client(ends[1]);
	}
	close(ends[1]);
	act->channel = ends[0];
}

static bool export_slices(struct act *act)
{
	struct vfio_dev *dev = &act->scene.exporter;

	step_begin("export two slices of BAR%u, %llu KiB each", SCENE_BAR,
		   SLICE >> 10);
	act->cpu = vfio_export(dev, SCENE_BAR, cpu_ranges, 2);
	act->rdma_slice = vfio_export(dev, SCENE_BAR, rdma_ranges, 2);
	return verdict("VFIO_DEVICE_FEATURE_DMA_BUF",
		       act->cpu < 0 ? act->cpu :
		       act->rdma_slice < 0 ? act->rdma_slice : 0);
}

static bool hand_to_cpu(struct act *act)
{
	struct request request = { .order = ORDER_MAP, .seed = 4711 };
	struct answer answer;

	step_begin("client 1 gets a file descriptor, maps it, writes and reads all");
	answer = tell(act, request, act->cpu);
	return verdict("mmap", answer.err);
}

static bool cannot_break_out(struct act *act)
{
	struct request request = { .order = ORDER_BREAK_OUT };
	char path[PATH_LEN];
	ssize_t len;

	step_begin("it cannot open the device, nor revoke, nor map more: refused");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", act->scene.exporter.fd);
	len = readlink(path, request.device, sizeof(request.device) - 1);
	if (len < 0)
		return verdict(path, -errno);
	return verdict("client 1", tell(act, request, -1).err);
}

/* Whatever client 1 did to its slice is right. It rests. */
static int judge(struct act *act)
{
	bar_take(&act->scene.bar, cpu_layout, 0, SLICE);
	return scene_judge(&act->scene);
}

static bool hand_to_rdma(struct act *act)
{
	const struct rdma_region region = {
		.dmabuf = act->rdma_slice,
		.len = SLICE,
		.access = RDMA_ALL,
	};
	enum ibv_wc_status status;
	int err;

	step_begin("client 2 gets the other, registers it; its peer writes all");
	err = rdma_reg(&act->rdma, &region, &act->mr);
	if (err)
		return verdict("ibv_reg_dmabuf_mr", err);
	scene_pattern(&act->scene, act->peer.mem, SLICE);
	status = rdma_do(&act->q_peer,
			 rdma_wr_remote(IBV_WR_RDMA_WRITE, act->peer.key, 0,
					SLICE, act->mr.key, 0));
	if (status)
		return step_failed("the peer got \"%s\"",
				   ibv_wc_status_str(status));
	bar_note(&act->scene.bar, rdma_layout, 0, act->peer.mem, SLICE);
	return verdict("RDMA", judge(act));
}

/* Both go on for a while. Returns what is wrong, or NULL. */
static const char *watch(struct act *act, bool cpu_has, bool rdma_has)
{
	struct rdma_flood before = rdma_flood_look(&act->q_peer), after;
	struct answer then = order(act, ORDER_LOOK), now;

	usleep(A_WHILE_MS * 1000);
	after = rdma_flood_look(&act->q_peer);
	now = order(act, ORDER_LOOK);
	if (now.wrong)
		return "client 1 read wrong bytes";
	if (cpu_has && (now.signals != then.signals || now.done == then.done))
		return "client 1 did not go on";
	if (!cpu_has && (now.signals == then.signals || now.done != then.done))
		return "client 1 did not get SIGBUS each time";
	if (rdma_has && (after.status || after.rc == before.rc))
		return "client 2's peer did not go on";
	if (!rdma_has && after.status != IBV_WC_REM_ACCESS_ERR)
		return "client 2's peer did not get a remote access error";
	return NULL;
}

/* Take or give back; then client 1 has its slice, or not, and client 2 likewise. */
static bool turn(struct act *act, int slice, __u32 status, bool cpu_has,
		 bool rdma_has)
{
	int err = vfio_revoke(&act->scene.exporter, slice, status);
	const char *wrong;

	if (err)
		return verdict("VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE", err);
	wrong = watch(act, cpu_has, rdma_has);
	return wrong ? step_failed("%s", wrong) : step_ok();
}

static bool both_work(struct act *act)
{
	const char *wrong;

	step_begin("both use what they have, over and over");
	order(act, ORDER_WORK);
	rdma_flood_start(&act->q_peer, &act->uc_peer, act->mr.key, 0, FLOOD);
	wrong = watch(act, true, true);
	return wrong ? step_failed("%s", wrong) : step_ok();
}

/* No byte of its slice changes any more. */
static bool nothing_written(struct act *act)
{
	static __u8 before[SLICE], after[SLICE];
	struct bar *bar = &act->scene.bar;

	step_begin("not a byte of slice 1 changes meanwhile");
	bar_take(bar, cpu_layout, 0, SLICE);
	bar_expect(bar, cpu_layout, 0, before, SLICE);
	usleep(A_WHILE_MS * 1000);
	bar_take(bar, cpu_layout, 0, SLICE);
	bar_expect(bar, cpu_layout, 0, after, SLICE);
	if (memcmp(before, after, SLICE))
		return step_failed("it changed");
	return step_ok();
}

static bool not_again(struct act *act)
{
	int err;

	step_begin("client 1 cannot map it again: %s", strerror(ENODEV));
	err = order(act, ORDER_MAP_AGAIN).err;
	return err == -ENODEV ? step_ok() : verdict("mmap", err ? err : -EEXIST);
}

static bool sum_up(struct act *act)
{
	struct rdma_flood flood = rdma_flood_stop(&act->q_peer);
	struct answer count = order(act, ORDER_REST);

	step_begin("client 1: %llu accesses, %llu SIGBUS, %llu wrong; peer: %llu writes",
		   count.done, count.signals, count.wrong, flood.rc);
	bar_take(&act->scene.bar, rdma_layout, 0, FLOOD);
	return verdict("BAR", count.wrong ? -EILSEQ : judge(act));
}

static void perform(struct act *act)
{
	if (!export_slices(act) || !hand_to_cpu(act) ||
	    !cannot_break_out(act) || !hand_to_rdma(act) || !both_work(act))
		return;
	step_begin("take slice 1 for a while: client 1 gets SIGBUS, client 2 goes on");
	turn(act, act->cpu, VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_TEMP, false, true);
	nothing_written(act);
	step_begin("give it back: client 1 goes on without a call, client 2 as well");
	turn(act, act->cpu, VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_OK, true, true);
	step_begin("take slice 1 for good: client 1 gets SIGBUS, client 2 goes on");
	turn(act, act->cpu, VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_PERM, false, true);
	not_again(act);
	step_begin("take slice 2, too: its peer gets \"%s\"",
		   ibv_wc_status_str(IBV_WC_REM_ACCESS_ERR));
	turn(act, act->rdma_slice, VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE_PERM,
	     false, false);
	sum_up(act);
}

static void introduce(const struct act *act)
{
	printf("owner      has %s ivshmem, BAR%u of 0x%zx bytes\n",
	       act->scene.exporter.name, SCENE_BAR, act->scene.bar.size);
	printf("client 1   user nobody, maps slice 1\n");
	printf("client 2   user nobody, registers slice 2 with rxe\n");
	printf("its peer   rxe, in another network namespace\n\n");
}

int main(void)
{
	struct act act = {};

	rdma_net_open();
	start_client(&act);
	rdma_host_start_as(&act.rdma, RDMA_A, FLOOD, NOBODY);
	rdma_host_start(&act.peer, RDMA_B, MEM);
	scene_open(&act.scene, PCI_ID_IVSHMEM, 0);
	rdma_qps_connect(&act.rdma, &act.q_rdma, 0, &act.peer, &act.q_peer,
			 IBV_QPT_RC);
	rdma_qps_connect(&act.rdma, &act.uc_rdma, 0, &act.peer, &act.uc_peer,
			 IBV_QPT_UC);
	introduce(&act);
	perform(&act);
	printf("\n");
	order(&act, ORDER_LEAVE);
	rdma_host_stop(&act.peer);
	rdma_host_stop(&act.rdma);
	scene_close(&act.scene);
	return steps_verdict("demo vending");
}
