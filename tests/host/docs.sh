#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: our pages build as HTML without a warning, and a bad page is seen
# timeout: 180
set -u
cd "$(dirname "$0")/../.." || exit
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 1' HUP INT TERM
n=0

# case WHAT STATUS: of the command before
report() {
	n=$((n + 1))
	if [ "$2" = 0 ]; then echo "ok $n $1"; else
		sed 's/^/# /' "$copy/log"
		echo "not ok $n $1"
	fi
}

echo "TAP version 13"
echo "1..4"
scripts/docs > "$copy/log" 2>&1
report "no warning about a file of ours" $?
grep -q 'href="#c.dma_buf_phys_suspend"' build/docs/driver-api/dma-buf-phys.html
report "the functions are documented" $?

cp -r scripts patches drivers include Documentation kernel.lock "$copy"
page=Documentation/userspace-api/dma-buf-phys.rst
echo "One *star, which begins what does not end." >> "$copy/$page"
! "$copy/scripts/docs" > "$copy/log" 2>&1 && grep -q "^$page:[0-9]*: WARNING: Inline emphasis" "$copy/log"
report "a page with a mistake is an error" $?
echo "See :doc:\`no-such-page\`." >> "$copy/$page"
! "$copy/scripts/docs" > "$copy/log" 2>&1 && grep -q "no-such-page.rst, which does not exist" "$copy/log"
report "and so is a link to nowhere" $?
