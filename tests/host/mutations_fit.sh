#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: each mutation still applies, in one place, and names a case that exists
# timeout: 60
exec scripts/mutations check
