#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: make lint
# timeout: 300
exec scripts/lint
