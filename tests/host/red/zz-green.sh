#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: nothing wrong here, and it comes last: run after the guest died twice
echo "1..1"
echo "ok 1 good"
