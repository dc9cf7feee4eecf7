#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: what make install installs works, and make uninstall leaves nothing behind
# root: debian
# flavour: plain
# topology: root
# timeout: 400
# boot: own
# needs: packages scripts/install scripts/common.sh
# shellcheck source=tests/lib/tap.sh
. /lib/tap.sh
# shellcheck source=tests/lib/rxe.sh
. /lib/rxe.sh
export DEBIAN_FRONTEND=noninteractive

# files: all of them, but for what dpkg notes for itself
files() {
	find / -xdev \( -path /var/lib/dpkg -o -path /var/log/dpkg.log -o -path /var/cache/ldconfig \) \
		-prune -o -type d -printf '%y %m %U:%G %p\n' \
		-o -printf '%y %m %U:%G %s %T@ %p %l\n' | sort > "$1"
	dpkg-query -W >> "$1"
	dpkg-divert --list >> "$1"
}

# quietly WHAT COMMAND...: a case; if it fails, with what it said
quietly() {
	what=$1
	shift
	"$@" > /tmp/said 2>&1
	ok $? "$what (at $(cut -d . -f 1 /proc/uptime) s)" || sed 's/^/# /' /tmp/said
}

# register: a dma-buf of the system heap, with rxe
register() {
	python3 - <<-'END'
	import fcntl, os, struct
	from pyverbs.device import Context
	from pyverbs.mr import DmaBufMR
	from pyverbs.pd import PD
	alloc = bytearray(struct.pack("QIIQ", 4096, 0, os.O_RDWR | os.O_CLOEXEC, 0))
	with open("/dev/dma_heap/system") as heap:
	    fcntl.ioctl(heap, 0xc0184800, alloc)
	with Context(name="rxe0") as context, PD(context) as pd:
	    DmaBufMR(pd, 4096, 1, struct.unpack("QIIQ", alloc)[1])
	END
}

# As a user has it: another kernel, no modules of this one, the distribution's
# provider, and hooks.
umount /lib/modules
mkdir /lib/modules/6.0.0
so=$(echo /usr/lib/x86_64-linux-gnu/libibverbs/librxe-rdmav*.so)
mv "$so.distrib" "$so"
for when in postinst postrm; do
	mkdir -p /etc/kernel/$when.d
	printf '#!/bin/sh\necho %s $* >> /tmp/hooks\n' $when > /etc/kernel/$when.d/hook
	chmod +x /etc/kernel/$when.d/hook
done
release=$(uname -r)
files /tmp/before

quietly "install" env PACKAGES=/needs/packages sh /needs/install
dpkg-query -W -f '# ${Package} ${Version} ${Installed-Size} KiB\n' '*dma-buf-phys*'
grep -q "^postinst $release /boot/vmlinuz-$release$" /tmp/hooks
ok $? "the distribution's hooks are told of the kernel"
grep -aqF "$(cut -d ' ' -f 3-4 /proc/version)" "/boot/vmlinuz-$release"
ok $? "the kernel that is in /boot is the one that runs"
quietly "the kernel is installed over itself" dpkg --install /needs/packages/linux-image-*.deb
[ -f "/lib/modules/$release/modules.dep" ] && [ -f "/lib/modules/$release/modules.builtin" ]
ok $? "the lists of its modules are there"
quietly "depmod finds its modules" depmod -a
quietly "and so does modprobe" rxe_alone
[ "$(find "/lib/modules/$release/" -name '*.ko' | wc -l)" -gt 30 ]
ok $? "they are all there"
[ -f "/lib/modules/$release/build/include/linux/dma-buf-phys.h" ]
ok $? "the kernel's headers are where modules look for them"
grep -q VFIO_DEVICE_FEATURE_DMA_BUF_REVOKE /usr/include/dma-buf-phys/linux/vfio.h
ok $? "the headers for programs are there"
quietly "the command runs" dma-buf-phys list
quietly "ibv_reg_dmabuf_mr() works on rxe" register

quietly "purge the provider" dpkg --purge dma-buf-phys-rxe
! register > /tmp/said 2>&1 && grep -q "Errno: 95" /tmp/said
ok $? "the distribution's is back, which cannot do it" || sed 's/^/# /' /tmp/said

quietly "uninstall" sh /needs/install --undo
grep -q "^postrm $release /boot/vmlinuz-$release$" /tmp/hooks
ok $? "the hooks are told"
files /tmp/after
diff /tmp/before /tmp/after > /tmp/said
ok $? "every file is as before: $(wc -l < /tmp/before) lines" || sed 's/^/# /' /tmp/said
plan
