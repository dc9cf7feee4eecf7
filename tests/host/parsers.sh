#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: the TAP reader, the splat gate, the bench with its profile and more, on recorded text
PYTHONPATH=scripts exec python3 tests/host/parsers.py
