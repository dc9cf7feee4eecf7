# SPDX-License-Identifier: GPL-2.0-only
"""What a test says about itself, in comment lines near its top.

  summary: one line                     what it proves
  flavour: plain debug                  it runs on each of these kernels (plain); a
                                        kernel is known by a fragment of its name
  topology: root switch                 and in each of these (root); kernels other
                                        than plain in the first only
  tier: check | long                    make check or make check-long (check)
  timeout: 120                          seconds, in the guest (60)
  memory: 4G                            of the guest (2G)
  params: iommu=pt                      more kernel command line
  boot: own                             shares its boot with no other test
  icount: yes                           guest time counts instructions (bench)
  profile: yes                          and instructions are counted by function (bench)
  leak: yes                             memory leak scan after it (debug kernel)
  judges: BUG: KCSAN                    lines of the kernel log (regular expression)
                                        that it judges itself, see splat.py
  taint: L                              a flag that it sets by what it uses; with
                                        boot: own, so that it hides no other's
  root: debian                          runs in the root of a distribution: debian has
                                        RDMA, Python and IGT, qemu has QEMU
  libs: ibverbs rdmacm                  a C program is linked with that root's; a
                                        file of tests/lib goes to those that have
                                        its libs
  shared: yes                           with libs: becomes a library, for LD_PRELOAD
  needs: tests/guest/x.c demo/y.sh      more files, as /needs/x, /needs/y.sh
  needs: tools/x                        a command that is built there, as /needs/x
  needs: packages                       what make install installs, in /needs/packages
  selftest: iommu/iommufd               kernel selftests, as /selftests/iommu/iommufd
"""
import re

from .arch import ARCH
from .paths import ROOT

DEFAULTS = {"summary": "", "flavour": "plain", "topology": "root", "tier": "check",
            "timeout": "60", "memory": "2G", "params": "", "boot": "", "icount": "",
            "profile": "", "leak": "", "judges": "", "taint": "", "root": "", "libs": "",
            "shared": "", "needs": "", "selftest": ""}
LISTS = ("flavour", "topology", "libs", "needs", "selftest")
# What makes each root, and prints where it is.
ROOTS = {"": "", "debian": "scripts/guest-root", "qemu": "scripts/guest-root-qemu"}
ROOT_OF_LIBS = "debian"


def read(path):
    meta = dict(DEFAULTS)
    with open(path, encoding="utf-8", errors="replace") as file:
        for _, line in zip(range(60), file):
            match = re.match(r"\s*(?:#|/?\*+|//)\s*(\w+):\s+(.*?)\s*(?:\*/)?\s*$", line)
            if match and match[1] in meta:
                meta[match[1]] = match[2]
    for key in LISTS:
        meta[key] = meta[key].split()
    meta["timeout"] = int(meta["timeout"]) * int(ARCH.patience)
    return meta


def flavours():
    """The kernels there are: the plain one, and those that have a config fragment."""
    named = {match[1] for path in (ROOT / "tests/vm/config").glob("*.config")
             if (match := re.search(r"^# flavour: (\w+)$", path.read_text(), re.M))}
    return (named | {"plain"}) - {"all"}
