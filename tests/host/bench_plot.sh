#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: README's figures, the picture and what was measured agree
# timeout: 60
set -u
cd "$(dirname "$0")/../.." || exit
LIB=tests/lib
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$copy/scripts" "$copy/bench" "$copy/build"

fresh() { cp scripts/bench-plot "$copy/scripts" && cp bench/figures.* "$copy/bench" && cp README.md "$copy"; }

# refused TEXT WHAT
refused() {
	! "$copy/scripts/bench-plot" --check > "$copy/log" 2>&1 && grep -q "$1" "$copy/log"
	ok $? "$2" || sed 's/^/# /' "$copy/log"
	fresh
}

scripts/bench-plot --check > "$copy/log" 2>&1
ok $? "they agree" || sed 's/^/# /' "$copy/log"
[ "$(wc -c < bench/figures.svg)" -lt 40960 ] && python3 -c '
import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' bench/figures.svg
ok $? "the picture is small, and XML"

fresh
# One figure of the picture is another one; with an argument, only its row is there.
raise() {
	python3 -c '
import csv, sys
lines = [line for line in csv.reader(open(sys.argv[1])) if line[0][0] != "#"]
want = [line for line in lines if line[:3] == ["DMA view, bus addresses", "4096", "map, instructions"]]
want[0][3] = "123456789"
csv.writer(sys.stdout, lineterminator="\n").writerows(lines if len(sys.argv) == 2 else [lines[0], *(line for line in lines if line[0] == want[0][0])])
' bench/figures.csv "$@"
}
raise > "$copy/bench/figures.csv"
refused "figures.svg is not that of bench/figures.csv" "other figures make another picture"
sed -i '/^## What is measured/,/^## The doc/s|[0-9,]* / [0-9,]* |987,654,321 / 1 |' "$copy/README.md"
refused "README.md: 987,654,321 / 1 was not measured" "a figure that nobody measured"
echo nonsense > "$copy/bench/figures.csv"
refused "error: bench/figures.csv: not what scripts/bench writes" "a file that is none of figures"
sed -i '$s/,[0-9]*,/,many,/2' "$copy/bench/figures.csv"
refused "error: bench/figures.csv: not what scripts/bench writes: .*'many'" "a figure that is no number"
rm "$copy/bench/figures.csv"
refused "error: bench/figures.csv: No such file" "no file of figures"

raise one > "$copy/build/bench.csv"
"$copy/scripts/bench-plot" --keep > "$copy/log" 2>&1 &&
	[ "$(grep -c 123456789 "$copy/bench/figures.csv")" = 1 ] &&
	[ "$(wc -l < "$copy/bench/figures.csv")" = "$(wc -l < bench/figures.csv)" ] &&
	! cmp -s bench/figures.svg "$copy/bench/figures.svg"
ok $? "a row that is measured anew is kept, with the others as they were" || sed 's/^/# /' "$copy/log"
plan
