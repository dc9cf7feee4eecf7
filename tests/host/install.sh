#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: make install DESTDIR=.. unpacks what can be used, and uninstall leaves nothing
# timeout: 900
set -u
cd "$(dirname "$0")/../.." || exit
LIB=tests/lib
# shellcheck source=tests/lib/tap.sh
. tests/lib/tap.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
dest=$tmp/dest
libs=usr/lib/x86_64-linux-gnu/libibverbs

# says WHAT COMMAND...: a case; if it fails, with what it said
says() {
	what=$1
	shift
	"$@" > "$tmp/said" 2>&1
	ok $? "$what" || sed 's/^/# /' "$tmp/said"
}

# files OUT: everything there is below dest
files() {
	(cd "$dest" && find . -type d -printf '%y %m %U:%G %p\n' \
		-o -printf '%y %m %U:%G %s %T@ %p %l\n' | sort) > "$tmp/$1"
}

# same WHAT: is everything as before?
same() {
	files after
	says "$1" diff "$tmp/before" "$tmp/after"
}

target() { env SETUP=no "DESTDIR=$dest" "PACKAGES=$PWD/build/packages-guest" make -s "$@"; }

# refused TEXT WHAT VARIABLE=VALUE..
refused() {
	text=$1 what=$2
	shift 2
	env "$@" scripts/package "$tmp/none" > "$tmp/said" 2>&1
	[ $? = 1 ] && grep -q "^error: .*$text" "$tmp/said" && [ -z "$(ls "$tmp"/none/*.deb 2>/dev/null)" ]
	ok $? "$what" || sed 's/^/# /' "$tmp/said"
}

so=$(echo "$(scripts/guest-root)"/provider/*.so)
says "the packages are made" env FLAVOUR=plain "PROVIDER=$so" scripts/package build/packages-guest

# Below dest there is a system that has merged /usr, rdma-core, and a file of its own.
mkdir -p "$dest/usr/sbin" "$dest/$libs"
ln -s usr/lib "$dest/lib"
echo distribution > "$dest/$libs/${so##*/}"
echo mine > "$dest/usr/sbin/other"
files before

says "install" target install
release=$(ls "$dest/lib/modules")
says "the command runs" "$dest/usr/sbin/dma-buf-phys" --help
says "modprobe would find the modules" \
	/sbin/modprobe -d "$dest" -S "$release" -n --show-depends rdma_rxe
says "the provider is there" cmp "$so" "$dest/$libs/${so##*/}"
grep -qx distribution "$dest/$libs/${so##*/}.distrib"
ok $? "and the distribution's beside it"

test -z "$(find "$dest/usr/include" ! -type d ! -name '*.h')"
ok $? "of the headers there are headers only"
cat > "$tmp/program.c" <<'END'
#include <linux/vfio.h>
#include <linux/iommufd.h>
int feature[] = { VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE, IOMMUFD_CMD_IOAS_MAP_FILE };
END
says "a program finds the headers" gcc -isystem "$dest/usr/include/dma-buf-phys" \
	-c "$tmp/program.c" -o "$tmp/program.o"
mkdir "$tmp/module"
echo "obj-m := importer.o" > "$tmp/module/Makefile"
cat > "$tmp/module/importer.c" <<'END'
#include <linux/dma-buf-phys.h>
#include <linux/module.h>
void importer_unpin(struct dma_buf_phys_attachment *attach);
void importer_unpin(struct dma_buf_phys_attachment *attach) { dma_buf_phys_unpin(attach); }
MODULE_DESCRIPTION("uses the class");
MODULE_IMPORT_NS("DMA_BUF");
MODULE_LICENSE("GPL");
END
says "a module is built for it" env -u MAKEFLAGS make -s \
	-C "$dest/usr/src/linux-headers-$release" "M=$tmp/module" modules
says "with its version" test "$(/sbin/modinfo -F vermagic "$tmp/module/importer.ko" |
	cut -d ' ' -f 1)" = "$release"

says "install over it" target install
says "uninstall" target uninstall
same "every file is as before: $(wc -l < "$tmp/before") lines"
target install > "$tmp/said" 2>&1
echo mine > "$dest/usr/include/dma-buf-phys/mine.h"
target uninstall > "$tmp/said" 2>&1
grep -q "usr/include/dma-buf-phys stays: there is something else in it" "$tmp/said"
ok $? "a file of somebody else's stays, and its directory"
rm -r "$dest/usr/include"
same "nothing else does"
says "uninstall where nothing is installed" target uninstall

mkdir "$tmp/bin"
stubs=$tmp/bin:$PATH
printf '#!/bin/sh\nexit 1\n' > "$tmp/bin/mv"
chmod +x "$tmp/bin/mv"
! (PATH=$tmp/bin:$PATH && target install) > "$tmp/said" 2>&1
ok $? "an installation that is stopped early fails"
same "and has not touched what was in the way"
echo mine > "$dest/$libs/${so##*/}.distrib"
files before
target install > "$tmp/said" 2>&1
grep -q "^error: cannot keep .*/${so##*/}: there is a .*.distrib already" "$tmp/said"
ok $? "somebody else's .distrib is in the way"
same "and stays"

# Should the check be missing, dpkg is not the real one.
ln -sf mv "$tmp/bin/dpkg"
mkdir -p "$tmp/stock" "$tmp/modules/DEBIAN"
printf '%s\n' "Package: dma-buf-phys-modules-0.0-none" "Version: 1" "Architecture: all" \
	"Maintainer: nobody" "Description: none" > "$tmp/modules/DEBIAN/control"
dpkg-deb --build "$tmp/modules" "$tmp/stock" > "$tmp/said" 2>&1
! env -u DESTDIR "PATH=$stubs" "PACKAGES=$tmp/stock" scripts/install > "$tmp/said" 2>&1 &&
	grep -q "^error: 0.0-none, .* is not installed" "$tmp/said"
ok $? "modules for a kernel that is not here" || sed 's/^/# /' "$tmp/said"

refused "there is no .*nowhere" "a configuration that does not exist" KCONFIG=/nowhere/at/all
refused "no configuration of a kernel" "a file that is none" KCONFIG=/etc/passwd
gzip -9 < /etc/passwd > "$tmp/config.gz"
refused "config.gz: no configuration of a kernel" "one that is compressed" "KCONFIG=$tmp/config.gz"
refused "exclude each other" "a configuration for another kernel" KCONFIG=/etc/passwd FLAVOUR=plain
refused "PREFIX is a path" "a PREFIX that is none" PREFIX=local FLAVOUR=plain
refused "RXE is yes or no" "something in between" RXE=maybe FLAVOUR=stock
refused "without the project" "a kernel without the project" FLAVOUR=unpatched
refused "no flavour 'nonsense'" "a FLAVOUR that does not exist" FLAVOUR=nonsense
plan
