// SPDX-License-Identifier: GPL-2.0-only
/*
 * RDMA devices through the kernel's verbs. See uverbs.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/netlink.h>
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/rdma_netlink.h>
#include <rdma/rdma_user_ioctl.h>

#include "uverbs.h"

#define VERBS_CLASS	"/sys/class/infiniband_verbs"
#define MAX_ATTRS	12

/*
 * One ioctl: a header and an array of attributes.
 */
struct request {
	struct ib_uverbs_ioctl_hdr hdr;
	struct ib_uverbs_attr attrs[MAX_ATTRS];
};

static struct request request(__u16 object, __u16 method)
{
	return (struct request){
		.hdr = { .object_id = object, .method_id = method },
	};
}

static struct ib_uverbs_attr *add_attr(struct request *req, __u16 id,
				       __u16 len, __u64 data)
{
	struct ib_uverbs_attr *attr = &req->attrs[req->hdr.num_attrs++];

	*attr = (struct ib_uverbs_attr){
		.attr_id = id,
		.len = len,
		.flags = UVERBS_ATTR_F_MANDATORY,
		.data = data,
	};
	return attr;
}

/* Up to 8 bytes are in the attribute itself. */
static void add_u32(struct request *req, __u16 id, __u32 value)
{
	add_attr(req, id, sizeof(value), value);
}

static void add_u64(struct request *req, __u16 id, __u64 value)
{
	add_attr(req, id, sizeof(value), value);
}

static void add_object(struct request *req, __u16 id, __u32 handle)
{
	add_attr(req, id, 0, handle);
}

static void add_ptr(struct request *req, __u16 id, const void *ptr, size_t len)
{
	add_attr(req, id, len, (uintptr_t)ptr);
}

static int call(const struct uverbs *verbs, struct request *req)
{
	req->hdr.driver_id = verbs->driver_id;
	req->hdr.length = sizeof(req->hdr) +
			  req->hdr.num_attrs * sizeof(req->attrs[0]);
	return ioctl(verbs->fd, RDMA_VERBS_IOCTL, req) < 0 ? -errno : 0;
}

/* A command of the time before ioctls. */
static int call_write(const struct uverbs *verbs, __u32 cmd, const void *in,
		      size_t in_len, void *out, size_t out_len)
{
	struct request req = request(UVERBS_OBJECT_DEVICE,
				     UVERBS_METHOD_INVOKE_WRITE);

	add_u64(&req, UVERBS_ATTR_WRITE_CMD, cmd);
	add_ptr(&req, UVERBS_ATTR_CORE_IN, in, in_len);
	if (out_len)
		add_ptr(&req, UVERBS_ATTR_CORE_OUT, out, out_len);
	return call(verbs, &req);
}

/*
 * The device
 */

static int read_line(const char *path, char *buf, size_t len)
{
	FILE *file = fopen(path, "r");
	int err = 0;

	if (!file)
		return -errno;
	if (!fgets(buf, len, file))
		err = -EIO;
	fclose(file);
	buf[strcspn(buf, "\n")] = '\0';
	return err;
}

/* The entry of a directory that @match accepts. */
static int find_entry(const char *dir, char *found, size_t len,
		      int (*match)(const char *entry, const void *arg),
		      const void *arg)
{
	struct dirent *entry;
	int err = -ENODEV;
	DIR *stream = opendir(dir);

	if (!stream)
		return -ENODEV;
	while (err && (entry = readdir(stream))) {
		if (entry->d_name[0] == '.' || !match(entry->d_name, arg))
			continue;
		snprintf(found, len, "%.63s", entry->d_name);
		err = 0;
	}
	closedir(stream);
	return err;
}

static int is_verbs_of(const char *entry, const void *ibdev)
{
	char path[PATH_MAX], name[IBDEV_NAME_LEN];

	snprintf(path, sizeof(path), VERBS_CLASS "/%.63s/ibdev", entry);
	return !read_line(path, name, sizeof(name)) && !strcmp(name, ibdev);
}

static int is_any(const char *entry, const void *unused)
{
	return 1;
}

int ibdev_of_pci(const char *pci, char ibdev[IBDEV_NAME_LEN])
{
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "/sys/bus/pci/devices/%.31s/infiniband",
		 pci);
	return find_entry(dir, ibdev, IBDEV_NAME_LEN, is_any, NULL);
}

int uverbs_open(struct uverbs *verbs, const char *ibdev, __u32 driver_id)
{
	struct request req = request(UVERBS_OBJECT_DEVICE,
				     UVERBS_METHOD_GET_CONTEXT);
	char node[IBDEV_NAME_LEN], path[PATH_MAX];
	int err;

	*verbs = (struct uverbs){ .fd = -1, .driver_id = driver_id };
	err = find_entry(VERBS_CLASS, node, sizeof(node), is_verbs_of, ibdev);
	if (err)
		return err;
	snprintf(path, sizeof(path), "/dev/infiniband/%s", node);
	verbs->fd = open(path, O_RDWR | O_CLOEXEC);
	if (verbs->fd < 0)
		return -errno;
	err = call(verbs, &req);
	if (err)
		uverbs_close(verbs);
	return err;
}

void uverbs_close(struct uverbs *verbs)
{
	if (verbs->fd >= 0)
		close(verbs->fd);
	verbs->fd = -1;
}

int uverbs_alloc_pd(const struct uverbs *verbs, __u32 *pd)
{
	struct ib_uverbs_alloc_pd cmd = {};
	struct ib_uverbs_alloc_pd_resp resp = {};
	int err = call_write(verbs, IB_USER_VERBS_CMD_ALLOC_PD, &cmd,
			     sizeof(cmd), &resp, sizeof(resp));

	*pd = resp.pd_handle;
	return err;
}

int uverbs_dealloc_pd(const struct uverbs *verbs, __u32 pd)
{
	struct request req = request(UVERBS_OBJECT_PD, UVERBS_METHOD_PD_DESTROY);

	add_object(&req, UVERBS_ATTR_DESTROY_PD_HANDLE, pd);
	return call(verbs, &req);
}

/*
 * Memory regions
 */

static int call_reg(const struct uverbs *verbs, struct request *req,
		    const struct ib_uverbs_attr *handle, struct uverbs_mr *mr)
{
	int err = call(verbs, req);

	mr->handle = handle->data;
	return err;
}

static int reg_dmabuf_mr(const struct uverbs *verbs,
			 const struct uverbs_dmabuf *arg, struct uverbs_mr *mr)
{
	struct request req = request(UVERBS_OBJECT_MR,
				     UVERBS_METHOD_REG_DMABUF_MR);
	struct ib_uverbs_attr *handle;

	handle = add_attr(&req, UVERBS_ATTR_REG_DMABUF_MR_HANDLE, 0, 0);
	add_object(&req, UVERBS_ATTR_REG_DMABUF_MR_PD_HANDLE, arg->pd);
	add_u64(&req, UVERBS_ATTR_REG_DMABUF_MR_OFFSET, arg->offset);
	add_u64(&req, UVERBS_ATTR_REG_DMABUF_MR_LENGTH, arg->length);
	add_u64(&req, UVERBS_ATTR_REG_DMABUF_MR_IOVA, arg->iova);
	add_u32(&req, UVERBS_ATTR_REG_DMABUF_MR_FD, arg->fd);
	add_u32(&req, UVERBS_ATTR_REG_DMABUF_MR_ACCESS_FLAGS, arg->access);
	add_ptr(&req, UVERBS_ATTR_REG_DMABUF_MR_RESP_LKEY, &mr->lkey,
		sizeof(mr->lkey));
	add_ptr(&req, UVERBS_ATTR_REG_DMABUF_MR_RESP_RKEY, &mr->rkey,
		sizeof(mr->rkey));
	return call_reg(verbs, &req, handle, mr);
}

/* What both uses of the method have in common. Returns the handle. */
static struct ib_uverbs_attr *add_reg_mr(struct request *req, __u32 pd,
					 __u64 length, __u64 iova,
					 __u32 access, struct uverbs_mr *mr)
{
	struct ib_uverbs_attr *handle;

	*req = request(UVERBS_OBJECT_MR, UVERBS_METHOD_REG_MR);
	handle = add_attr(req, UVERBS_ATTR_REG_MR_HANDLE, 0, 0);
	add_object(req, UVERBS_ATTR_REG_MR_PD_HANDLE, pd);
	add_u64(req, UVERBS_ATTR_REG_MR_IOVA, iova);
	add_u64(req, UVERBS_ATTR_REG_MR_LENGTH, length);
	add_u32(req, UVERBS_ATTR_REG_MR_ACCESS_FLAGS, access);
	add_ptr(req, UVERBS_ATTR_REG_MR_RESP_LKEY, &mr->lkey, sizeof(mr->lkey));
	add_ptr(req, UVERBS_ATTR_REG_MR_RESP_RKEY, &mr->rkey, sizeof(mr->rkey));
	return handle;
}

static int reg_mr_fd(const struct uverbs *verbs,
		     const struct uverbs_dmabuf *arg, struct uverbs_mr *mr)
{
	struct ib_uverbs_attr *handle;
	struct request req;

	handle = add_reg_mr(&req, arg->pd, arg->length, arg->iova, arg->access,
			    mr);
	add_u64(&req, UVERBS_ATTR_REG_MR_FD_OFFSET, arg->offset);
	add_attr(&req, UVERBS_ATTR_REG_MR_FD, 0, 0)->data_s64 = arg->fd;
	if (arg->has_dmah)
		add_object(&req, UVERBS_ATTR_REG_MR_DMA_HANDLE, arg->dmah);
	return call_reg(verbs, &req, handle, mr);
}

int uverbs_reg_dmabuf(const struct uverbs *verbs, enum uverbs_door door,
		      const struct uverbs_dmabuf *arg, struct uverbs_mr *mr)
{
	return door == DOOR_REG_MR ? reg_mr_fd(verbs, arg, mr) :
				     reg_dmabuf_mr(verbs, arg, mr);
}

int uverbs_reg(const struct uverbs *verbs, __u32 pd, void *start, __u64 length,
	       __u64 iova, __u32 access, struct uverbs_mr *mr)
{
	struct ib_uverbs_attr *handle;
	struct request req;

	handle = add_reg_mr(&req, pd, length, iova, access, mr);
	add_u64(&req, UVERBS_ATTR_REG_MR_ADDR, (uintptr_t)start);
	return call_reg(verbs, &req, handle, mr);
}

int uverbs_rereg(const struct uverbs *verbs, const struct uverbs_mr *mr,
		 __u32 flags, __u32 pd, void *start, __u64 length, __u64 iova,
		 __u32 access)
{
	struct ib_uverbs_rereg_mr cmd = {
		.mr_handle = mr->handle,
		.flags = flags,
		.start = (uintptr_t)start,
		.length = length,
		.hca_va = iova,
		.pd_handle = pd,
		.access_flags = access,
	};
	struct ib_uverbs_rereg_mr_resp resp = {};

	return call_write(verbs, IB_USER_VERBS_CMD_REREG_MR, &cmd, sizeof(cmd),
			  &resp, sizeof(resp));
}

int uverbs_query_mr(const struct uverbs *verbs, const struct uverbs_mr *mr,
		    __u64 *length, __u64 *iova)
{
	struct request req = request(UVERBS_OBJECT_MR, UVERBS_METHOD_QUERY_MR);
	__u32 lkey = 0, rkey = 0;
	int err;

	add_object(&req, UVERBS_ATTR_QUERY_MR_HANDLE, mr->handle);
	add_ptr(&req, UVERBS_ATTR_QUERY_MR_RESP_LKEY, &lkey, sizeof(lkey));
	add_ptr(&req, UVERBS_ATTR_QUERY_MR_RESP_RKEY, &rkey, sizeof(rkey));
	add_ptr(&req, UVERBS_ATTR_QUERY_MR_RESP_LENGTH, length,
		sizeof(*length));
	add_ptr(&req, UVERBS_ATTR_QUERY_MR_RESP_IOVA, iova, sizeof(*iova));
	err = call(verbs, &req);
	if (!err && (lkey != mr->lkey || rkey != mr->rkey))
		err = -EILSEQ;
	return err;
}

int uverbs_dereg(const struct uverbs *verbs, const struct uverbs_mr *mr)
{
	struct request req = request(UVERBS_OBJECT_MR, UVERBS_METHOD_MR_DESTROY);

	add_object(&req, UVERBS_ATTR_DESTROY_MR_HANDLE, mr->handle);
	return call(verbs, &req);
}

int uverbs_alloc_dmabuf(const struct uverbs *verbs, __u64 offset)
{
	struct request req = request(UVERBS_OBJECT_DMABUF,
				     UVERBS_METHOD_DMABUF_ALLOC);
	struct ib_uverbs_attr *handle =
		add_attr(&req, UVERBS_ATTR_ALLOC_DMABUF_HANDLE, 0, 0);
	int err;

	add_u64(&req, UVERBS_ATTR_ALLOC_DMABUF_PGOFF, offset);
	err = call(verbs, &req);
	return err ? err : (int)handle->data_s64;
}

int uverbs_advise(const struct uverbs *verbs, __u32 pd, __u32 advice,
		  bool flush, __u32 lkey, __u64 addr, __u32 length)
{
	struct request req = request(UVERBS_OBJECT_MR, UVERBS_METHOD_ADVISE_MR);
	struct ib_uverbs_sge sge = {
		.addr = addr,
		.length = length,
		.lkey = lkey,
	};

	add_object(&req, UVERBS_ATTR_ADVISE_MR_PD_HANDLE, pd);
	add_u64(&req, UVERBS_ATTR_ADVISE_MR_ADVICE, advice);
	add_u32(&req, UVERBS_ATTR_ADVISE_MR_FLAGS,
		flush ? IB_UVERBS_ADVISE_MR_FLAG_FLUSH : 0);
	add_ptr(&req, UVERBS_ATTR_ADVISE_MR_SGE_LIST, &sge, sizeof(sge));
	return call(verbs, &req);
}

/*
 * Software devices
 */

static int run(const char *command)
{
	int status = system(command);

	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

int netdev_add(const char *name, const char *kind)
{
	char command[128];

	snprintf(command, sizeof(command),
		 "modprobe %s && ip link add %s type %s && ip link set %s up",
		 kind, name, kind, name);
	return run(command);
}

int netdev_del(const char *name)
{
	char command[64];

	snprintf(command, sizeof(command), "ip link del %s", name);
	return run(command);
}

static void add_string(struct nlmsghdr *msg, __u16 type, const char *text)
{
	struct nlattr *attr = (void *)((char *)msg + msg->nlmsg_len);
	size_t len = strlen(text) + 1;

	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + len;
	memcpy((char *)attr + NLA_HDRLEN, text, len);
	msg->nlmsg_len += NLA_ALIGN(attr->nla_len);
}

/* Send and wait for the answer. */
static int ask(const struct nlmsghdr *msg)
{
	struct {
		struct nlmsghdr hdr;
		struct nlmsgerr err;
		char rest[512];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_RDMA);
	ssize_t got = -1;

	if (fd < 0)
		return -errno;
	if (send(fd, msg, msg->nlmsg_len, 0) == (ssize_t)msg->nlmsg_len)
		got = recv(fd, &answer, sizeof(answer), 0);
	close(fd);
	if (got < (ssize_t)(sizeof(answer.hdr) + sizeof(answer.err)) ||
	    answer.hdr.nlmsg_type != NLMSG_ERROR)
		return -EIO;
	return answer.err.error;
}

int rdma_link_add(const char *ibdev, const char *type, const char *netdev)
{
	struct {
		struct nlmsghdr hdr;
		char attrs[256];
	} msg = {
		.hdr = {
			.nlmsg_len = NLMSG_HDRLEN,
			.nlmsg_type = RDMA_NL_GET_TYPE(RDMA_NL_NLDEV,
						       RDMA_NLDEV_CMD_NEWLINK),
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
		},
	};
	char command[64];
	int err;

	snprintf(command, sizeof(command),
		 "modprobe rdma_%s && modprobe ib_uverbs", type);
	err = run(command);
	if (err)
		return err;
	add_string(&msg.hdr, RDMA_NLDEV_ATTR_DEV_NAME, ibdev);
	add_string(&msg.hdr, RDMA_NLDEV_ATTR_LINK_TYPE, type);
	add_string(&msg.hdr, RDMA_NLDEV_ATTR_NDEV_NAME, netdev);
	return ask(&msg.hdr);
}
