#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: fewer cases than planned
echo "1..2"
echo "ok 1 good"
