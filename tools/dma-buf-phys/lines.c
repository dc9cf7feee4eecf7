// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading lines in which keys and values take turns, as debugfs has them: a word
 * has no blanks, and what would be one is written as a backslash and three octal
 * digits.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dma-buf-phys.h"

double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static bool octal(char c)
{
	return c >= '0' && c <= '7';
}

static void unescape(char *text)
{
	char *to = text;

	while (*text) {
		if (text[0] == '\\' && octal(text[1]) && octal(text[2]) &&
		    octal(text[3])) {
			*to++ = (text[1] - '0') << 6 | (text[2] - '0') << 3 |
				(text[3] - '0');
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = 0;
}

/* The bytes of a name are anybody's, but JSON is UTF-8. */
static json_t *text_value(char *text)
{
	json_t *value;
	char *c;

	unescape(text);
	value = json_string(text);
	if (value)
		return value;
	for (c = text; *c; c++)
		if (!isascii(*c))
			*c = '?';
	return json_string(text);
}

static json_t *number_value(const char *text)
{
	json_t *value;
	char *end;

	if (strchr(text, '.'))
		value = json_real(strtod(text, &end));
	else
		value = json_integer(strtoll(text, &end, 0));
	if (end != text && !*end)
		return value;
	json_decref(value);
	return NULL;
}

json_t *parse_words(char *line, const char *const *texts)
{
	json_t *object = json_object();
	json_t *value;
	char *key, *word, *rest;
	size_t i;

	for (key = strtok_r(line, "\n ", &rest); key;
	     key = strtok_r(NULL, "\n ", &rest)) {
		word = strtok_r(NULL, "\n ", &rest);
		if (!word)
			goto bad;
		for (i = 0; texts[i] && strcmp(texts[i], key); i++)
			;
		value = texts[i] ? text_value(word) : number_value(word);
		if (!value || json_object_set_new(object, key, value))
			goto bad;
	}
	return object;

bad:
	json_decref(object);
	return NULL;
}

json_t *parse_list(const char *text, char separator)
{
	json_t *array = json_array();
	size_t len;

	for (; *text; text += len + !!text[len]) {
		len = strchrnul(text, separator) - text;
		json_array_append_new(array, json_stringn(text, len));
	}
	return array;
}
