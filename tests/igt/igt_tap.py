#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""igt_tap RESULTS.JSON: what igt_runner found, as TAP.

Each subtest, or dynamic subtest, is a case. A warning counts as a failure, also one
in the kernel log, and so does a subtest that was not run or did not end. The output
and the kernel log of a failure follow as comments. The "Totals" line is that of
kselftest.

Warnings in the kernel log that a subtest has to provoke are no failure: EXPECTED.
"""
import json
import re
import sys

LINES = 40	# of the output of a failure
WARNING = re.compile(r"<[0-4]> \[ *[\d.]+\] (.*)")
# What a device, a process or KUnit is made to do on purpose.
EXPECTED = re.compile("|".join((
    r"DMAR: (DRHD: handling fault status|\[DMA )",	# DMA to memory that was taken away
    r"\w+: qp#\d+ make_send_cqe: non-flush error",	# RDMA, the same
    r"dma-buf-phys: mock",				# KUnit: bad exporters, slow importers,
    r"dma-buf-phys:   mock of kunit",			# domains that do not take a mapping
    r"iommu: unaligned: iova",
    r"pcieport .*: unlocked secondary bus reset",	# the first VFIO_DEVICE_RESET of a slot
    r"\w+: \d+ callbacks suppressed",
)))


def passed(result):
    warnings = [match[1] for match in map(WARNING.match, result.get("dmesg", "").splitlines())
                if match]
    return result["result"] == "pass" or (result["result"] == "dmesg-warn" and
                                          all(map(EXPECTED.match, warnings)))


def reason(text):
    """Why IGT skipped: the message if the test gave one, else the condition."""
    lines = [line.strip() for line in text.splitlines()]
    for i, line in enumerate(lines):
        if line.startswith("Test requirement: "):
            said = lines[i + 1] if i + 1 < len(lines) else ""
            if said and not said.startswith(("Last errno", "Subtest ", "Dynamic ")):
                return said
            return line.removeprefix("Test requirement: ")
    return next((line for line in lines if line and not line.startswith(
        ("IGT-Version", "Starting", "Using", "Opened", "Subtest", "Test requirement"))), "")


def explain(result):
    for part in ("out", "err", "dmesg"):
        lines = result.get(part, "").splitlines()[-LINES:]
        yield from (f"# {part}: {line}" for line in lines if line.strip())


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        tests = json.load(file)["tests"]
    totals = {"pass": 0, "fail": 0, "skip": 0}
    print("TAP version 13")
    for number, (name, result) in enumerate(tests.items(), 1):
        name, verdict = name.removeprefix("igt@").replace("@", " "), result["result"]
        if passed(result):
            totals["pass"] += 1
            print(f"ok {number} {name}")
        elif verdict == "skip":
            totals["skip"] += 1
            print(f"ok {number} {name} # SKIP {reason(result.get('out', ''))}")
        else:
            totals["fail"] += 1
            print(*explain(result), sep="\n")
            print(f"not ok {number} {name}: {verdict}")
    print(f"1..{len(tests)}")
    print("# Totals: pass:{pass} fail:{fail} xfail:0 xpass:0 skip:{skip} error:0".format(**totals))
    return 1 if totals["fail"] or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
