# SPDX-License-Identifier: GPL-2.0-only
"""Where the instructions of a program's parts go, by function: profile.c counts blocks of code.

A part of the program (tests/lib/measure.h) becomes a figure for each function that has an
instruction or more for each range, as scripts/bench reads it: "bench", row, ranges,
"<function>, instructions per range", path, and median, minimum, maximum, 1.
"""
import bisect
import re
from collections import Counter

from . import programs

USER_END = 1 << 47
OTHERS, TOLERANCE = "everything else", 0.02


class Symbols:
    """Which function an address belongs to."""

    def __init__(self, system_map, modules):
        found = {int(address, 16): name
                 for address, kind, name in map(str.split, system_map.splitlines())
                 if kind in "tTwW"}
        found |= {int(address, 16): name for address, name in modules}
        self.addresses = sorted(found)
        # What the compiler makes of a function is still that function.
        self.names = [re.sub(r"\.(isra|constprop|part|cold)\b.*", "", found[address])
                      for address in self.addresses]

    def name(self, address):
        if address < USER_END:
            return "user space"
        return self.names[bisect.bisect_right(self.addresses, address) - 1]


def figures(text, counted, system_map):
    """The figures of what a program printed, and of the plugin's lines, as text."""
    lines = [line.split("\t") for line in text.splitlines()]
    parts = [line[1:] for line in lines if line[0] == "part" and len(line) == 5]
    symbols = Symbols(system_map,
                      [line[1:] for line in lines if line[0] == "symbol" and len(line) == 3])
    spent = [Counter() for _ in parts]
    for line in counted.splitlines():
        number, address, instructions = line.split()
        if int(number) >= len(parts):
            raise programs.Failed("the plugin counted more parts than the program has")
        spent[int(number)][symbols.name(int(address, 16))] += int(instructions)

    made = []
    for (row, ranges, path, took), by in zip(parts, spent):
        total, ranges = sum(by.values()), int(ranges)
        if abs(total - int(took)) > TOLERANCE * int(took):
            raise programs.Failed(f"{row}, {path}: {total} instructions were counted of {took}")
        told = {name for (other, *_), their in zip(parts, spent) if other == row
                for name, instructions in their.items() if instructions >= ranges}
        rest = sum(instructions for name, instructions in by.items() if name not in told)
        for name, instructions in [*((name, by[name]) for name in sorted(told)), (OTHERS, rest)]:
            each = round(instructions / ranges)
            made.append(f"bench\t{row}\t{ranges}\t{name}, instructions per range\t{path}"
                        f"\t{each}\t{each}\t{each}\t1")
    if not made:
        raise programs.Failed("the program has no parts")
    return "\n".join(made)
