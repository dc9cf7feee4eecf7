/* SPDX-License-Identifier: MIT */
/*
 * What the tests here use of IGT's library, as libigt.so.0 of IGT 2.5 has it.
 *
 * The distribution ships the library without its headers. In IGT's own tree this
 * file is not needed: "igt.h" there is IGT's, and has all of this and more.
 */
#ifndef IGT_H
#define IGT_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#endif

#define igt_does_not_return	__attribute__((noreturn))
#define igt_printf(fmt, args)	__attribute__((format(printf, fmt, args)))

enum igt_log_level { IGT_LOG_DEBUG, IGT_LOG_INFO, IGT_LOG_WARN };

struct option;

extern jmp_buf igt_subtest_jmpbuf;
extern jmp_buf igt_dynamic_jmpbuf;
extern const char *__igt_test_description __attribute__((weak));

int igt_subtest_init_parse_opts(int *argc, char **argv, const char *short_opts,
				const struct option *long_opts,
				const char *help,
				int (*handler)(int opt, int index, void *data),
				void *data);
bool __igt_fixture(void);
void __igt_fixture_complete(void);
bool __igt_run_subtest(const char *name, const char *file, const int line);
bool __igt_enter_dynamic_container(void);
bool __igt_run_dynamic_subtest(const char *name);
void __igt_subtest_group_save(int *save, int *desc);
void __igt_subtest_group_restore(int save, int desc);
igt_printf(1, 2) void igt_describe_f(const char *fmt, ...);
igt_printf(3, 4) void igt_log(const char *domain, enum igt_log_level level,
			      const char *fmt, ...);
igt_printf(5, 6) igt_does_not_return
void __igt_skip_check(const char *file, const int line, const char *func,
		      const char *check, const char *fmt, ...);
igt_printf(6, 7) igt_does_not_return
void __igt_fail_assert(const char *domain, const char *file, const int line,
		       const char *func, const char *assertion,
		       const char *fmt, ...);
void igt_success(void);
igt_does_not_return void igt_exit(void);

#define igt_join_(a, b)		a ## b
#define igt_join(a, b)		igt_join_(a, b)
#define igt_unique(name)	igt_join(igt_unique_ ## name ## _, __LINE__)

#define IGT_TEST_DESCRIPTION(text) \
	const char *__igt_test_description = text

/* main(), which the block after it is the body of */
#define igt_main() \
	static void igt_unique(body)(void); \
	int main(int argc, char **argv) \
	{ \
		igt_subtest_init_parse_opts(&argc, argv, NULL, NULL, NULL, \
					    NULL, NULL); \
		igt_unique(body)(); \
		igt_exit(); \
	} \
	static void igt_unique(body)(void)

/* Blocks. A failure or skip inside of one jumps back to its head. */
#define igt_fixture() \
	for (int igt_unique(i) = 0; \
	     !igt_unique(i) && __igt_fixture() && \
	     !sigsetjmp(igt_subtest_jmpbuf, 1); \
	     igt_unique(i)++, __igt_fixture_complete())

#define igt_subtest(name) \
	for (; __igt_run_subtest(name, __FILE__, __LINE__) && \
	     !sigsetjmp(igt_subtest_jmpbuf, 1); igt_success())

#define igt_subtest_f(fmt...) \
	for (char igt_unique(name)[256]; \
	     snprintf(igt_unique(name), sizeof(igt_unique(name)), fmt), \
	     __igt_run_subtest(igt_unique(name), __FILE__, __LINE__) && \
	     !sigsetjmp(igt_subtest_jmpbuf, 1); igt_success())

#define igt_subtest_with_dynamic(name) \
	for (; __igt_run_subtest(name, __FILE__, __LINE__) && \
	     __igt_enter_dynamic_container() && \
	     !sigsetjmp(igt_subtest_jmpbuf, 1); igt_success())

#define igt_dynamic(name) \
	for (; __igt_run_dynamic_subtest(name) && \
	     !sigsetjmp(igt_dynamic_jmpbuf, 1); igt_success())

#define igt_subtest_group() \
	for (int igt_unique(i) = 0, igt_unique(save) = 0, igt_unique(desc) = 0; \
	     igt_unique(i) < 1 && \
	     (__igt_subtest_group_save(&igt_unique(save), &igt_unique(desc)), \
	      true); \
	     igt_unique(i)++, \
	     __igt_subtest_group_restore(igt_unique(save), igt_unique(desc)))

#define igt_describe(text)	igt_describe_f("%s", text)
#define igt_debug(fmt...)	igt_log(NULL, IGT_LOG_DEBUG, fmt)
#define igt_info(fmt...)	igt_log(NULL, IGT_LOG_INFO, fmt)

#define igt_skip_check_(what, fmt...) \
	__igt_skip_check(__FILE__, __LINE__, __func__, what, fmt)
#define igt_require(expr) \
	do { if (!(expr)) igt_skip_check_(#expr, NULL); } while (0)
#define igt_require_f(expr, fmt...) \
	do { if (!(expr)) igt_skip_check_(#expr, fmt); } while (0)
#define igt_skip_on(expr) \
	do { if (expr) igt_skip_check_("!(" #expr ")", NULL); } while (0)
#define igt_skip_on_f(expr, fmt...) \
	do { if (expr) igt_skip_check_("!(" #expr ")", fmt); } while (0)

#define igt_fail_(what, fmt...) \
	__igt_fail_assert(NULL, __FILE__, __LINE__, __func__, what, fmt)
#define igt_assert(expr) \
	do { if (!(expr)) igt_fail_(#expr, NULL); } while (0)
#define igt_assert_f(expr, fmt...) \
	do { if (!(expr)) igt_fail_(#expr, fmt); } while (0)

#define igt_compare(type, fmt, a, cmp, b) \
	do { \
		type a_ = (a), b_ = (b); \
		if (!(a_ cmp b_)) \
			igt_fail_(#a " " #cmp " " #b, fmt, a_, b_); \
	} while (0)
#define igt_assert_eq(a, b) \
	igt_compare(int, "error: %d != %d\n", a, ==, b)
#define igt_assert_neq(a, b) \
	igt_compare(int, "error: %d == %d\n", a, !=, b)
#define igt_assert_lte(a, b) \
	igt_compare(int, "error: %d > %d\n", a, <=, b)
#define igt_assert_eq_u64(a, b) \
	igt_compare(unsigned long long, "error: %#llx != %#llx\n", a, ==, b)

#endif
