#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: what it prints is not lost, though its children end all the time
# shellcheck source=tests/lib/say.sh
. /lib/say.sh
n=0
echo "1..600"
while [ $n -lt 600 ]; do
	n=$((n + 1))
	(exit) &
	say 'ok %d printed\n' $n
done
wait
