# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
# shellcheck disable=SC2034	# used by whoever reads this file
# Read by the other scripts: where things are, how to say something, and the first answer
# to their arguments: -h and --help print the head of the script, and nothing is done.

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${DMA_BUF_PHYS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dma-buf-phys}

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
misused() { say "error: $*; see ${0##*/} --help"; exit 2; }
no_arguments() { [ $# = 0 ] || misused "${0##*/} takes no arguments"; }
manual() { sed -n '3,$ { /^#/!q; s/^# \{0,1\}//p; }' "$0"; }

case ${1-} in -h|--help) manual; exit ;; esac

# use_arch: the variables of ARCH=, see scripts/harness/arch.py
use_arch() {
	arch=${ARCH:-x86}
	[ -f "$root/scripts/arch/$arch.arch" ] ||
		die "there is no architecture '$arch'; ARCH= is one of" \
			"$(cd "$root/scripts/arch" && echo *.arch | sed 's/\.arch//g')"
	# shellcheck source=scripts/arch/arm64.arch
	. "$root/scripts/arch/$arch.arch"
	[ -n "$cross" ] || [ "$(uname -m)" = "${triplet%%-*}" ] ||
		die "$arch has no cross compiler here, and this machine is $(uname -m)"
}

# scratch PARENT: make a directory there, $tmp, which goes when the script ends. dash runs
# no EXIT trap if a signal ends it.
scratch() {
	tmp=$(mktemp -d "$1/unpack.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	trap 'exit 1' HUP INT TERM
}

# locked FILE: wait for the lock, held until the script ends.
locked() {
	mkdir -p "$(dirname "$1")"
	exec 9>"$1"
	flock -n 9 && return
	say "waiting for $1: another run is at it"
	flock 9
}

# kmake LABEL LOG ENTRY BUILD LOCALVERSION ARGUMENTS...: make, for the kernel's tree of
# that cache entry. The environment is ours alone: parts of the kernel's build look at
# DEBUG, V and the like, and a difference there means to build everything again.
kmake() {
	kmake_label=$1 kmake_log=$2 kmake_entry=$3 kmake_build=$4 kmake_version=$5
	shift 5
	# shellcheck disable=SC2086	# make_args: a list of words, of the architecture
	"$root/scripts/progress" "$kmake_label" "$kmake_log" env -i "PATH=$PATH" "HOME=$HOME" \
		"CCACHE_DIR=$cache/ccache" "CCACHE_BASEDIR=$cache" CCACHE_NOHASHDIR=1 \
		CCACHE_SLOPPINESS=time_macros CCACHE_MAXSIZE=10G KBUILD_BUILD_TIMESTAMP=@1 \
		KBUILD_BUILD_USER=dma-buf-phys KBUILD_BUILD_HOST=localhost KBUILD_BUILD_VERSION=1 \
		"LOCALVERSION=$kmake_version" \
		make -C "$kmake_entry/tree" "O=$kmake_build" CC="ccache ${cross-}gcc" HOSTCC="ccache gcc" \
		${make_args-} "-j$(nproc)" "$@"
}
