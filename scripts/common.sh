# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
# shellcheck disable=SC2034	# used by whoever reads this file
# Read by the other scripts: where things are, and how to say something.

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${DMA_BUF_PHYS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dma-buf-phys}

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# locked FILE: wait for the lock, held until the script ends.
locked() {
	mkdir -p "$(dirname "$1")"
	exec 9>"$1"
	flock -n 9 && return
	say "waiting for $1: another run is at it"
	flock 9
}
