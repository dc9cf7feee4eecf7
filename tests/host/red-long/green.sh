#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: green every time
# tier: long
echo "1..1"
echo "ok 1 good"
