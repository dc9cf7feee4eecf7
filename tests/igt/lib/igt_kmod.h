/* SPDX-License-Identifier: MIT */
/*
 * Kernel modules. As igt.h: in IGT's own tree this is IGT's file.
 */
#ifndef IGT_KMOD_H
#define IGT_KMOD_H

int igt_kmod_load(const char *module, const char *options);

/*
 * Subtest @suite: runs that KUnit suite of @module, each of its cases as a dynamic
 * subtest.
 */
void igt_kunit(const char *module, const char *suite, const char *options);

#endif
