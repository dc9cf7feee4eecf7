// SPDX-License-Identifier: GPL-2.0-only
/*
 * How an application lets its peers write into a BAR; README.md quotes it.
 *
 * serve() is all that is to be done: it connects by librdmacm and registers the
 * dma-buf that it was given. The peer is an ordinary one.
 *
 * flavour: plain
 * topology: root
 * tier: check
 * timeout: 60
 * root: debian
 * libs: ibverbs rdmacm
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <rdma/rdma_cma.h>
#include <rdma/rdma_verbs.h>

#include "iommufd.h"
#include "rdma_net.h"
#include "report.h"
#include "vfio.h"

#define BAR	2
#define LEN	0x1000
#define PORT	"7471"

static struct ibv_qp_init_attr qp_attr = {
	.cap = { 1, 1, 1, 1, 0 },
	.qp_type = IBV_QPT_RC,
	.sq_sig_all = 1,
};

static struct rdma_cm_id *endpoint(int flags)
{
	struct rdma_addrinfo hints = {
		.ai_flags = flags,
		.ai_port_space = RDMA_PS_TCP,
	}, *addr;
	struct rdma_cm_id *id;

	if (rdma_getaddrinfo(rdma_net_address(RDMA_A), PORT, &hints, &addr) ||
	    rdma_create_ep(&id, addr, NULL, &qp_attr))
		die("no endpoint: %s", strerror(errno));
	rdma_freeaddrinfo(addr);
	return id;
}

/* Let one peer write to the dma-buf, until it goes. 0 or -1. */
static int serve(struct rdma_cm_id *listener, int dmabuf)
{
	struct rdma_conn_param param = { .private_data_len = sizeof(__u32) };
	struct rdma_cm_event *gone;
	struct rdma_cm_id *id;
	struct ibv_mr *mr;

	if (rdma_get_request(listener, &id))
		return -1;
	mr = ibv_reg_dmabuf_mr(id->pd, 0, LEN, 0, dmabuf,
			       IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
	if (!mr)
		return -1;
	param.private_data = &mr->rkey;
	if (rdma_accept(id, &param) ||
	    rdma_get_cm_event(id->channel, &gone) || rdma_ack_cm_event(gone))
		return -1;
	ibv_dereg_mr(mr);
	rdma_destroy_ep(id);
	return 0;
}

static int be_peer(char *text)
{
	struct rdma_cm_id *id = endpoint(0);
	struct ibv_mr *mr = rdma_reg_msgs(id, text, strlen(text));
	struct ibv_wc wc;
	__u32 key;

	if (!mr || rdma_connect(id, NULL))
		die("not connected: %s", strerror(errno));
	memcpy(&key, id->event->param.conn.private_data, sizeof(key));
	if (rdma_post_write(id, NULL, text, strlen(text), mr, 0, 0, key) ||
	    rdma_get_send_comp(id, &wc) != 1 || wc.status)
		die("not written: %s", ibv_wc_status_str(wc.status));
	rdma_disconnect(id);
	return 0;
}

int main(void)
{
	const struct vfio_region_dma_range range = { 0x5000, LEN };
	char text[] = "hello, BAR";
	struct rdma_cm_id *listener;
	struct vfio_dev dev;
	int dmabuf, status;
	size_t size;
	void *map;
	pid_t pid;

	rdma_net_open();
	/* Linked statically, librdmacm knows rxe from here. */
	ibv_free_device_list(ibv_get_device_list(NULL));
	listener = endpoint(RAI_PASSIVE);
	if (rdma_listen(listener, 1))
		die("rdma_listen: %s", strerror(errno));
	pid = fork();
	if (!pid)
		exit(setns(rdma_net_namespace(RDMA_B), CLONE_NEWNET) || be_peer(text));
	if (vfio_open_id(&dev, PCI_ID_IVSHMEM, 0, iommufd_open()) ||
	    vfio_map_bar(&dev, BAR, &map, &size))
		die("the exporter is not there");
	memset(map + range.offset, 0, LEN);
	dmabuf = vfio_export(&dev, BAR, &range, 1);
	status = serve(listener, dmabuf);
	printf("1..1\n%sok 1 a peer wrote into the BAR: \"%.20s\"\n", status ||
	       memcmp(map + range.offset, text, sizeof(text)) ? "not " : "",
	       (char *)map + range.offset);
	rdma_destroy_ep(listener);
	return waitpid(pid, &status, 0) != pid || status;
}
