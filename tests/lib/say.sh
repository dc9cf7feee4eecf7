#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# To be read by who prints what must not be lost, to a terminal.

# say FORMAT [ARGUMENT..]: printf. A child that ends just then interrupts the write, and
# the shell drops what it had to write.
say() {
	# shellcheck disable=SC2059	# FORMAT is one
	until printf "$@"; do :; done
}
