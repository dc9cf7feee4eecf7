#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: pyverbs' dma-buf tests on rxe, none skipped, on three kinds of memory
# root: debian
# flavour: plain
# timeout: 180
# needs: tests/preload/drm_dmabuf.c tests/preload/sitecustomize.py
# shellcheck source=tests/lib/tap.sh
. /lib/tap.sh
# shellcheck source=tests/lib/rxe.sh
. /lib/rxe.sh
rxe_alone
for kind in heap udmabuf bar; do
	DRM_DMABUF=$kind LD_PRELOAD=/needs/drm_dmabuf PYTHONPATH=/needs sh /lib/pyverbs.sh "10 ok" \
		tests.test_mr.DmaBufMRTest tests.test_mr.DmaBufTestCase
	ok $? "pyverbs' dma-buf tests, memory: $kind"
done
rxe_gone
plan
