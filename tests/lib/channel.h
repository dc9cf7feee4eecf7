/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Processes that trust each other no further than need be: messages, each of
 * which may carry a file descriptor, over a Unix socket that keeps them apart
 * (SOCK_SEQPACKET).
 */
#ifndef TESTS_LIB_CHANNEL_H
#define TESTS_LIB_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * @fd is the message's file descriptor, or -1. False: the other end is gone, or
 * sent a message of another size.
 */
bool channel_send(int channel, const void *message, size_t size, int fd);
bool channel_receive(int channel, void *message, size_t size, int *fd);

/* Give up all rights but those of this user, for good; 0: keep them. Or die. */
void become_user(uid_t user);

#endif
