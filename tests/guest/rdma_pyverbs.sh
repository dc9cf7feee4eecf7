#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: pyverbs' tests on rxe keep their count; unmodified, from the distribution
# root: debian
# flavour: plain
# timeout: 400
# shellcheck source=tests/lib/tap.sh
. /lib/tap.sh
# shellcheck source=tests/lib/rxe.sh
. /lib/rxe.sh
rxe_alone && sh /lib/pyverbs.sh "135 ok"
ok $? "pyverbs' whole suite"
rxe_gone
plan
