#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: the TAP reader and the splat gate, on recorded text
PYTHONPATH=scripts exec python3 tests/host/parsers.py
