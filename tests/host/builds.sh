#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What the project touches compiles without a warning, and needs no function that is
# not there: by gcc and clang, for x86_64, arm64 and 32-bit x86, with every option
# that matters off in turn; and sparse finds nothing in the files of the project.
# Only its directories are built: what they depend on is not. What was good once is
# remembered by its content. BUILDS="clang *" builds the rows of that name only.
# A compiler that is not installed makes its rows skips; nothing installs it.
# tier: long
# timeout: 14400
set -u
cd "$(dirname "$0")/../.." || exit
# shellcheck source=scripts/touched.sh
. scripts/touched.sh
root=$PWD
entry=$(scripts/kernel-fetch) || exit
mkdir -p build/logs
log=$root/build/logs/builds good=$entry/builds-good
touch "$good"

# Rows: compiler, architecture, what is other than in tests/vm/config, and, after a
# "/", the functions that are gone with it: no file that is touched may need one.
rows() {
	cat <<-END
	gcc x86_64
	sparse x86_64
	gcc x86_64 PCI_P2PDMA=n / pcim?_p2pdma
	gcc x86_64 PCI=n / pcim?_
	gcc x86_64 IOMMU_SUPPORT=n IOMMUFD=n
	gcc x86_64 IOMMU_SUPPORT=n IOMMUFD=n VFIO=n / iommu_
	gcc x86_64 IOMMUFD=n / iommufd_
	gcc x86_64 IOMMUFD_TEST=n
	gcc x86_64 VFIO=n / vfio_
	gcc x86_64 VFIO_PCI=n / vfio_pci_
	gcc x86_64 VFIO_DEVICE_CDEV=n
	gcc x86_64 VFIO_GROUP=n VFIO_CONTAINER=n
	gcc x86_64 INFINIBAND=n / (ib|rdma)_
	gcc x86_64 INFINIBAND_USER_ACCESS=n / ib_umem_
	gcc x86_64 INFINIBAND_ON_DEMAND_PAGING=n / ib_umem_odp
	gcc x86_64 RDMA_RXE=n / rxe_
	gcc x86_64 KUNIT=n / __?kunit_
	gcc x86_64 DEBUG_FS=n / debugfs_
	gcc x86_64 FTRACE=n / (__tracepoint|trace_event)_
	gcc x86_64 DMABUF_HEAPS=n / dma_heap_
	gcc x86_64 UDMABUF=n
	gcc x86_64 SYNC_FILE=n SW_SYNC=n DRM=n / sync_file_
	gcc x86_64 MEMCG=n / (mem|obj)_cgroup_
	gcc x86_64 TRANSPARENT_HUGEPAGE=n
	gcc x86_64 MODULES=n
	gcc x86_64 PROC_FS=n EXPERT=y
	gcc x86_64 PRINTK=n BUG=n EXPERT=y / _printk
	gcc x86_64 SMP=n
	gcc x86_64 PREEMPT_RT=y EXPERT=y PREEMPT=n
	gcc x86_64 PROVE_LOCKING=y DMABUF_DEBUG=y DMA_API_DEBUG=y
	gcc x86_64 $alone / dma_buf_
	clang x86_64
	clang x86_64 $alone / dma_buf_
	gcc arm64
	sparse arm64
	gcc arm64 $alone / dma_buf_
	clang arm64
	gcc i386
	sparse i386
	gcc i386 $alone / dma_buf_
	clang i386
	END
}
# Nothing wants dma-bufs.
alone="SYNC_FILE=n SW_SYNC=n UDMABUF=n DMABUF_HEAPS=n IOMMUFD_TEST=n INFINIBAND=n DRM=n KUNIT=n"

# newest_clang: the number of its package, 17 or more
newest_clang() {
	for version in 22 21 20 19 18 17; do
		command -v "clang-$version" "ld.lld-$version" "llvm-nm-$version" > /dev/null &&
			echo "$version" && return
	done
}

# choose COMPILER ARCH: how to call make and nm; or what is missing
choose() {
	make_args="ARCH=$2" nm=nm compiler=gcc missing=
	case "$1 $2" in
	clang*)
		version=$(newest_clang)
		[ "$version" ] || missing="clang-19 lld-19 llvm-19, or the same of another version from 17 on"
		make_args="$make_args LLVM=-$version" nm=llvm-nm-$version compiler=clang-$version ;;
	*arm64)
		make_args="$make_args CROSS_COMPILE=aarch64-linux-gnu-"
		nm=aarch64-linux-gnu-nm compiler=aarch64-linux-gnu-gcc
		command -v $compiler > /dev/null || missing=gcc-aarch64-linux-gnu ;;
	esac
	out=$entry/build-$compiler-$2
}

# Several words in one variable: make's arguments, directories, objects.
# shellcheck disable=SC2086
kmake() {
	env -i "PATH=$PATH" "HOME=$HOME" "CCACHE_DIR=$entry/../ccache" "CCACHE_BASEDIR=$entry/.." \
		CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=time_macros CCACHE_DEPEND=1 make -s -C "$entry/tree" "O=$out" \
		$make_args CC="ccache $compiler" HOSTCC="ccache gcc" "-j$(nproc)" "$@" > "$log" 2>&1
}

# objects FILE: those that are built in this configuration, of the sources in FILE; ar
# prints their paths as it is told the archive's
objects() {
	(
		cd "$out" || exit
		for directory in $directories; do
			ar t "$directory/built-in.a"
			[ ! -f "$directory/modules.order" ] ||
				sed 's/\.o$/.mod/' "$directory/modules.order" | xargs -r cat
		done
	) 2>/dev/null | sort -u | grep -Fxf "$1"
}

# found: some of them are in the kernel's image in every row, else something is wrong here
found() {
	objects "$log.touched" | grep -qE '/(dma-buf|pages)\.o$' && return
	echo "no object of the kernel's image is found" > "$log"
	return 1
}

# taken WORD..: these options are so in the end
taken() {
	for word; do
		case $word in
		*=n) ! grep "^CONFIG_${word%=n}=" "$out/.config" ;;
		*) grep -qx "CONFIG_$word" "$out/.config" || echo "no CONFIG_$word" ;;
		esac
	done > "$log"
	! [ -s "$log" ]
}

# configure ARCH WORD..
configure() {
	arch=$1
	shift
	mkdir -p "$out"
	{
		scripts/kernel-sync fragments plain "$entry"
		[ "$arch" != arm64 ] || printf 'CONFIG_%s\n' ARM_SMMU_V3=y ARM_SMMU_V3_IOMMUFD=y
		[ $# = 0 ] || printf 'CONFIG_%s\n' "$@"
	} > "$out/fragments"
	kmake "KCONFIG_ALLCONFIG=$out/fragments" allnoconfig && taken "$@"
}

# gone REGEX: nothing that is touched needs what it matches
gone() {
	for object in $(objects "$log.touched"); do
		"$nm" "$out/$object" | sed -nE "s#^ *U ($1.*)#$object needs \1#p" ||
			echo "$object was not looked at"
	done > "$log"
	! [ -s "$log" ]
}

# good_build COMPILER ARCH WORD.. [/ REGEX]
good_build() {
	how=$1 arch=$2 regex='' words=''
	shift 2
	while [ $# -gt 0 ] && [ "$1" != / ]; do
		words="$words $1"
		shift
	done
	[ $# = 0 ] || regex=$2
	# shellcheck disable=SC2086
	configure "$arch" $words || return
	# What another row left is not taken for this one's.
	find "$out" \( -name built-in.a -o -name modules.order \) -delete
	# shellcheck disable=SC2046,SC2086
	kmake W=1 $(printf '%s/ ' $directories) && ! [ -s "$log" ] && unresolved "$nm" 100 && found || return
	[ -z "$regex" ] || gone "$regex" || return
	[ "$how" = sparse ] || return 0
	# What is made first, as arm64's vDSO, is looked at, too, and not ours.
	# shellcheck disable=SC2046
	kmake W=1 C=2 "CHECK=$root/scripts/sparse" $(objects "$log.ours") || return
	grep -F -f "$log.sources" "$log" > "$log.found"
	mv "$log.found" "$log"
	! [ -s "$log" ]
}

exec 9> "$entry/lock"
flock 9
scripts/kernel-sync lay "$entry"
sources=$(scripts/kernel-sync key "$entry" plain)
find drivers include -name '*.[ch]' > "$log.sources"
sed -n 's/\.c$/.o/p' "$log.sources" > "$log.ours"
{ cat "$log.ours"; sed -n 's/^+++ b\/\(.*\)\.c$/\1.o/p' patches/*.patch; } > "$log.touched"

echo "TAP version 13"
n=0
rows > "$log.rows"
while read -r how arch rest; do
	name="$how $arch${rest:+ $rest}"
	# shellcheck disable=SC2254	# a pattern
	case $name in ${BUILDS:-*}) ;; *) continue ;; esac
	n=$((n + 1))
	choose "$how" "$arch"
	if [ "$missing" ]; then
		echo "ok $n $name # SKIP not installed: $missing"
		continue
	fi
	key=$( { echo "$sources $name"; $compiler --version | head -n 1
		cat tests/host/builds.sh scripts/touched.sh; } | sha256sum)
	# shellcheck disable=SC2086
	if grep -qFx "$key" "$good"; then
		echo "ok $n $name (built before)"
	elif good_build "$how" "$arch" $rest < /dev/null; then
		echo "$key" >> "$good"
		echo "ok $n $name"
	else
		head -n 40 "$log" | sed 's/^/# /'
		echo "not ok $n $name"
	fi
done < "$log.rows"
echo "1..$n"
