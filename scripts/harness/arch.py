# SPDX-License-Identifier: GPL-2.0-only
"""Architectures: scripts/arch/*.arch, lines of NAME="VALUE", which sh reads as well.

  triplet       what Debian calls it in the names of directories
  make_args     more arguments for make in a kernel tree
  cross         what the names of the compiler and its tools begin with; nothing: it
                is this machine's
  image         the kernel, in its build directory
  packages      of the distribution, to build for it
  qemu          the emulator; qemu_package: where it is in
  machine       its options, for any topology
  ports         and for the ports console, output and control, see vm.py
  append        of the kernel command line
  patience      by what the time limits of tests are multiplied
  kernels       that scripts/check runs (all)
  distribution  yes: there are roots of one for the guest, see root in meta.py. If not,
                programs with libs are linked statically, see scripts/guest-sdk

ARCH= names one; that of another machine than this as Debian does. A topology or config fragment with a line "# arch: x86" is for that
one only.
"""
import os
import re
import shlex
from types import SimpleNamespace

from .paths import ROOT

DIRECTORY = ROOT / "scripts/arch"


def names():
    return sorted(path.stem for path in DIRECTORY.glob("*.arch"))


def known(name):
    """That name. One that is none would hide what it stands before."""
    if name not in names():
        raise SystemExit(f"error: there is no architecture '{name}'; ARCH= is one of "
                         f"{', '.join(names())}")
    return name


def _load(name):
    text = (DIRECTORY / f"{known(name)}.arch").read_text()
    return SimpleNamespace(name=name, **dict(word.split("=", 1) for word in
                                             shlex.split(text, comments=True)))


ARCH = _load(os.environ.get("ARCH") or "x86")


def concerns(text):
    """Is a file for this architecture, by its text?"""
    match = re.search(r"^# arch: (.*)$", text, re.M)
    return not match or known(match[1]) == ARCH.name
