#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# fail_nth.c on the debug kernel, which looks for leaked memory at the end. That
# takes too long for every day.
# flavour: debug
# topology: root
# tier: long
# timeout: 5400
# leak: yes
# needs: tests/guest/fail_nth.c
exec /needs/fail_nth
