// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages with file descriptors. See channel.h.
 */
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"
#include "report.h"

bool channel_send(int channel, const void *message, size_t size, int fd)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(fd))];
	} control = {};
	struct iovec data = { .iov_base = (void *)message, .iov_len = size };
	struct msghdr header = { .msg_iov = &data, .msg_iovlen = 1 };

	if (fd >= 0) {
		header.msg_control = &control;
		header.msg_controllen = sizeof(control);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	}
	return sendmsg(channel, &header, MSG_NOSIGNAL) == (ssize_t)size;
}

bool channel_receive(int channel, void *message, size_t size, int *fd)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(*fd))];
	} control = {};
	struct iovec data = { .iov_base = message, .iov_len = size };
	struct msghdr header = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *head;

	if (recvmsg(channel, &header, MSG_CMSG_CLOEXEC) != (ssize_t)size)
		return false;
	head = CMSG_FIRSTHDR(&header);
	*fd = -1;
	if (head)
		memcpy(fd, CMSG_DATA(head), sizeof(*fd));
	return true;
}

void become_user(uid_t user)
{
	if (user && (setgroups(0, NULL) || setresgid(user, user, user) ||
		     setresuid(user, user, user)))
		die("become user %u: %s", user, strerror(errno));
}
