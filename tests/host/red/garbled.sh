#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: the mark at the end of what it prints does not get through
# params: garbled
echo "1..1"
echo "ok 1 printed"
stty -F /dev/ttyS1 opost onlcr
