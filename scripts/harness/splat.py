# SPDX-License-Identifier: GPL-2.0-only
"""The splat gate: which lines of a kernel log are not to be there.

tests/vm/splat.deny and splat.allow hold one regular expression per line, each
followed by a tab and a reason. A line that matches the first and not the second
counts, unless the test that ran judges such lines itself ("judges:" in its
metadata).
"""
import re

from .paths import ROOT

# What the taint flags mean that a run must not set (Documentation/admin-guide/tainted-kernels.rst).
TAINTS = {5: "B: bad page", 7: "D: the kernel died", 9: "W: a warning was issued",
          14: "L: soft lockup", 4: "M: machine check"}


def _patterns(name):
    lines = (ROOT / "tests/vm" / name).read_text().splitlines()
    rules = [line.split("\t")[0] for line in lines if line and not line.startswith("#")]
    return re.compile("|".join(f"(?:{rule})" for rule in rules) or r"(?!)")


def find(log, judged=""):
    """The lines that count; judged: a regular expression for those that somebody else judges."""
    deny, allow = _patterns("splat.deny"), _patterns("splat.allow")
    other = re.compile(judged or r"(?!)")
    return [line for line in log
            if deny.search(line) and not allow.search(line) and not other.search(line)]


def taints(value):
    return [text for bit, text in TAINTS.items() if value >> bit & 1]
