#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: each promise, broken, turns a test red
# tier: long
# timeout: 14400
#
# MUTATIONS=GLOB names some of tests/mutations. What was proved before, of the
# same code, is not run again.
exec scripts/mutations run
