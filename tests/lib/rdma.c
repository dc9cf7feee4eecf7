// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a program tells its hosts. See rdma.h.
 *
 * libs: ibverbs
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <arpa/inet.h>

#include "channel.h"
#include "rdma_host.h"
#include "report.h"

#define WC_LIMIT	60000	/* ms */

/*
 * The channel
 */

static struct rdma_answer hear(struct rdma_host *host)
{
	struct rdma_answer answer;
	int fd;

	if (!channel_receive(host->channel, &answer, sizeof(answer), &fd))
		die("host %c is gone", 'A' + host->side);
	return answer;
}

static struct rdma_answer ask_with_fd(struct rdma_host *host,
				      const struct rdma_request *request, int fd)
{
	if (!channel_send(host->channel, request, sizeof(*request), fd))
		die("host %c does not listen", 'A' + host->side);
	return hear(host);
}

static struct rdma_answer ask(struct rdma_host *host,
			      const struct rdma_request *request)
{
	return ask_with_fd(host, request, -1);
}

/* Ask for what cannot fail. */
static struct rdma_answer must_ask(struct rdma_host *host, const char *what,
				   const struct rdma_request *request)
{
	struct rdma_answer answer = ask(host, request);

	if (answer.err)
		die("host %c, %s: %s", 'A' + host->side, what,
		    strerror(-answer.err));
	return answer;
}

/*
 * Hosts
 */

static void be_host(struct rdma_host *host, int channel, uid_t user)
{
	host->channel = channel;
	if (setns(rdma_net_namespace(host->side), CLONE_NEWNET))
		die("setns: %s", strerror(errno));
	become_user(user);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rdma_serve(host);
	_exit(EXIT_SUCCESS);
}

/* RoCE: the IPv4 address, mapped into IPv6. */
static void set_gid(struct rdma_host *host)
{
	host->gid = (union ibv_gid){ .raw[10] = 0xff, .raw[11] = 0xff };
	inet_pton(AF_INET, rdma_net_address(host->side), &host->gid.raw[12]);
}

void rdma_host_start_as(struct rdma_host *host, enum rdma_side side, size_t size,
			uid_t user)
{
	int ends[2];

	*host = (struct rdma_host){ .side = side, .size = size };
	set_gid(host);
	host->mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (host->mem == MAP_FAILED)
		die("no memory for host %c", 'A' + side);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		die("socketpair: %s", strerror(errno));
	fflush(stdout);
	host->pid = fork();
	if (host->pid < 0)
		die("fork: %s", strerror(errno));
	if (!host->pid) {
		close(ends[0]);
		be_host(host, ends[1], user);
	}
	close(ends[1]);
	host->channel = ends[0];
	host->key = hear(host).key;
}

void rdma_host_start(struct rdma_host *host, enum rdma_side side, size_t size)
{
	rdma_host_start_as(host, side, size, 0);
}

static void reap(struct rdma_host *host)
{
	int status;

	waitpid(host->pid, &status, 0);
	close(host->channel);
	munmap(host->mem, host->size);
	*host = (struct rdma_host){ .side = host->side, .channel = -1 };
}

void rdma_host_stop(struct rdma_host *host)
{
	if (!host->pid)
		return;
	must_ask(host, "stop", &(struct rdma_request){ .what = RDMA_STOP });
	reap(host);
}

void rdma_host_kill(struct rdma_host *host)
{
	kill(host->pid, SIGKILL);
	reap(host);
}

/*
 * Regions and windows
 */

int rdma_reg(struct rdma_host *host, const struct rdma_region *region,
	     struct rdma_mr *mr)
{
	struct rdma_request request = { .what = RDMA_REG, .region = *region };
	struct rdma_answer answer = ask_with_fd(host, &request, region->dmabuf);

	*mr = (struct rdma_mr){ host, answer.nr, answer.key };
	return answer.err;
}

int rdma_dereg(struct rdma_mr *mr)
{
	return ask(mr->host, &(struct rdma_request){
		.what = RDMA_DEREG,
		.nr = mr->nr,
	}).err;
}

int rdma_mw_alloc(struct rdma_host *host, enum ibv_mw_type type,
		  struct rdma_mw *mw)
{
	struct rdma_answer answer = ask(host, &(struct rdma_request){
		.what = RDMA_MW_ALLOC,
		.other = type,
	});

	*mw = (struct rdma_mw){ host, answer.nr, answer.key };
	return answer.err;
}

int rdma_mw_free(struct rdma_mw *mw)
{
	return ask(mw->host, &(struct rdma_request){
		.what = RDMA_MW_FREE,
		.nr = mw->nr,
	}).err;
}

enum ibv_wc_status rdma_mw_bind(struct rdma_qp *qp, struct rdma_mw *mw,
				struct rdma_bind bind)
{
	struct rdma_answer answer;

	answer = must_ask(qp->host, "bind", &(struct rdma_request){
		.what = RDMA_MW_BIND,
		.nr = qp->nr,
		.other = mw->nr,
		.bind = { bind.mr->nr, bind.addr, bind.len, bind.access },
	});
	mw->key = answer.key;
	return rdma_wait(qp).status;
}

/*
 * Queue pairs
 */

static void create(struct rdma_host *host, struct rdma_qp *qp, __u32 pd,
		   enum ibv_qp_type type)
{
	struct rdma_answer answer;

	answer = must_ask(host, "create a QP", &(struct rdma_request){
		.what = RDMA_QP_CREATE,
		.nr = pd,
		.other = type,
	});
	*qp = (struct rdma_qp){ host, answer.nr, answer.key, .type = type };
}

static void connect_to(struct rdma_qp *qp, const struct rdma_qp *peer)
{
	must_ask(qp->host, "connect a QP", &(struct rdma_request){
		.what = RDMA_QP_CONNECT,
		.nr = qp->nr,
		.peer = { peer->host->gid, peer->number },
	});
	qp->peer = peer->number;
}

void rdma_qps_connect(struct rdma_host *host_a, struct rdma_qp *a, __u32 pd,
		      struct rdma_host *host_b, struct rdma_qp *b,
		      enum ibv_qp_type type)
{
	create(host_a, a, pd, type);
	create(host_b, b, 0, type);
	connect_to(a, b);
	connect_to(b, a);
}

void rdma_qp_destroy(struct rdma_qp *qp)
{
	if (!qp->host->pid)
		return;
	must_ask(qp->host, "destroy a QP", &(struct rdma_request){
		.what = RDMA_QP_DESTROY,
		.nr = qp->nr,
	});
}

void rdma_qps_destroy(struct rdma_qp *a, struct rdma_qp *b)
{
	rdma_qp_destroy(a);
	rdma_qp_destroy(b);
}

enum ibv_qp_state rdma_state(struct rdma_qp *qp)
{
	return must_ask(qp->host, "query a QP", &(struct rdma_request){
		.what = RDMA_QP_STATE,
		.nr = qp->nr,
	}).key;
}

/*
 * Work requests
 */

struct rdma_wr rdma_wr(enum ibv_wr_opcode opcode, __u32 key, __u64 addr,
		       __u32 len)
{
	return (struct rdma_wr){
		.opcode = opcode,
		.nr_sge = 1,
		.sge[0] = { .addr = addr, .length = len, .lkey = key },
	};
}

struct rdma_wr rdma_wr_remote(enum ibv_wr_opcode opcode, __u32 key, __u64 addr,
			      __u32 len, __u32 rkey, __u64 remote)
{
	struct rdma_wr wr = rdma_wr(opcode, key, addr, len);

	wr.rkey = rkey;
	wr.remote = remote;
	return wr;
}

int rdma_post(struct rdma_qp *qp, const struct rdma_wr *wr)
{
	return ask(qp->host, &(struct rdma_request){
		.what = RDMA_POST,
		.nr = qp->nr,
		.wr = *wr,
	}).err;
}

int rdma_qp_receive(struct rdma_qp *qp, __u32 key, __u64 addr, __u32 len)
{
	return ask(qp->host, &(struct rdma_request){
		.what = RDMA_POST_RECV,
		.nr = qp->nr,
		.wr = rdma_wr(0, key, addr, len),
	}).err;
}

static struct rdma_answer poll_for(struct rdma_qp *qp, bool recv,
				   unsigned int ms)
{
	return ask(qp->host, &(struct rdma_request){
		.what = RDMA_POLL,
		.nr = qp->nr,
		.recv = recv,
		.times = ms,
	});
}

static struct ibv_wc wait_for(struct rdma_qp *qp, bool recv)
{
	struct rdma_answer answer = poll_for(qp, recv, WC_LIMIT);

	if (answer.err)
		die("host %c: no completion of what was %s in %u s",
		    'A' + qp->host->side, recv ? "to be received" : "sent",
		    WC_LIMIT / 1000);
	return answer.wc;
}

struct ibv_wc rdma_wait(struct rdma_qp *qp)
{
	return wait_for(qp, false);
}

struct ibv_wc rdma_wait_recv(struct rdma_qp *qp)
{
	return wait_for(qp, true);
}

int rdma_try_recv(struct rdma_qp *qp, unsigned int ms)
{
	struct rdma_answer answer = poll_for(qp, true, ms);

	return answer.err ? answer.err : (int)answer.wc.status;
}

enum ibv_wc_status rdma_do(struct rdma_qp *qp, struct rdma_wr wr)
{
	int err = rdma_post(qp, &wr);

	if (err)
		die("host %c: ibv_post_send: %s", 'A' + qp->host->side,
		    strerror(-err));
	return rdma_wait(qp).status;
}

void rdma_flood_start(struct rdma_qp *rc, struct rdma_qp *uc, __u32 rkey,
		      __u64 remote, __u32 len)
{
	must_ask(rc->host, "flood", &(struct rdma_request){
		.what = RDMA_FLOOD_START,
		.nr = rc->nr,
		.other = uc->nr,
		.wr = rdma_wr_remote(IBV_WR_RDMA_WRITE, rc->host->key, 0, len,
				     rkey, remote),
	});
}

struct rdma_flood rdma_flood_look(struct rdma_qp *rc)
{
	return must_ask(rc->host, "look at the flood", &(struct rdma_request){
		.what = RDMA_FLOOD_LOOK,
	}).flood;
}

struct rdma_flood rdma_flood_stop(struct rdma_qp *rc)
{
	return must_ask(rc->host, "end the flood", &(struct rdma_request){
		.what = RDMA_FLOOD_STOP,
	}).flood;
}

__u64 rdma_measure(struct rdma_qp *qp, struct rdma_wr wr, __u32 times)
{
	return must_ask(qp->host, "measure", &(struct rdma_request){
		.what = RDMA_MEASURE,
		.nr = qp->nr,
		.wr = wr,
		.times = times,
	}).time;
}
