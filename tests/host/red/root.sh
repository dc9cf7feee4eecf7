#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: a case that fails in the root of a distribution
# root: debian
echo "1..1"
grep -q '^ID=debian' /etc/os-release || echo "ok 1 not in its root, so there is no case that fails"
echo "not ok 1 in the root of a distribution"
