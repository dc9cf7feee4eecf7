# SPDX-License-Identifier: GPL-2.0-only
"""The TAP reader, the splat gate, the profile and the bench, on recorded text. Prints TAP
itself."""
import importlib.util
import os
import sys
import tempfile
from importlib.machinery import SourceFileLoader
from pathlib import Path

from harness import arch, ktap, profile, programs, splat, vm

KUNIT = """KTAP version 1
1..1
    KTAP version 1
    # Subtest: dma-buf-resv
    # module: dmabuf_kunit
    1..2
        KTAP version 1
        # Subtest: test_sanitycheck
        ok 1 kernel
        ok 2 write
    # test_sanitycheck: pass:2 fail:0 skip:0 total:2
    ok 1 test_sanitycheck
    ok 2 test_signaling # SKIP not today
# dma-buf-resv: pass:1 fail:0 skip:1 total:2
ok 1 dma-buf-resv
"""
REPORTS = {
    # name: (text, passed, failed, skipped, problems)
    "flat": ("TAP version 13\n1..2\nok 1 a\nnot ok 2 b\n", 1, 1, 0, 0),
    "plan at the end": ("ok 1 a\nok 2 b\n1..2\n", 2, 0, 0, 0),
    "too few": ("1..3\nok 1 a\n", 1, 0, 0, 1),
    "too many": ("1..1\nok 1 a\nok 2 b\n", 2, 0, 0, 1),
    "skip with its reason": ("1..1\nok 1 a # SKIP no device\n", 0, 0, 1, 0),
    "skip of everything": ("TAP version 13\n1..0 # SKIP no module\n", 0, 0, 1, 0),
    "nested": (KUNIT, 2, 0, 1, 0),
    "two in a row": (KUNIT * 2, 4, 0, 2, 0),
    "nested, one short": (KUNIT.replace("        ok 2 write\n", "")
                          .replace("    1..2\n", "    1..2\n        1..2\n"), 1, 0, 1, 1),
    "child fails": (KUNIT.replace("ok 2 write", "not ok 2 write"), 1, 1, 1, 0),
    "parent fails alone": (KUNIT.replace("ok 1 dma-buf", "not ok 1 dma-buf"), 2, 1, 1, 0),
    "text without a case": ("okay then\n1.. 2\n# ok 1\n", 0, 0, 0, 0),
}
SPLATS = """WARNING: drivers/dma-buf/dma-buf.c:777 at dma_buf_put+0x1c/0x40, CPU#1: sh/75
BUG: KASAN: slab-use-after-free in dma_buf_phys_unmap+0x1/0x2
UBSAN: shift-out-of-bounds in drivers/iommu/iommufd/pages.c:1:2
INFO: task vm:75 blocked for more than 120 seconds.
INFO: possible circular locking dependency detected
kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
DMA-API: pci 0000:02:00.0: device driver frees DMA memory with wrong function
refcount_t: underflow; use-after-free.
list_del corruption. prev->next should be ffff888, but was dead
Oops: general protection fault, probably for non-canonical address
rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
watchdog: BUG: soft lockup - CPU#0 stuck for 22s!
BUG: sleeping function called from invalid context at mm/slab.h:1
Kernel panic - not syncing: Fatal exception
WARNING: possible recursive locking detected"""
HARMLESS = """vfio-pci 0000:01:00.0: resetting
DMAR: [DMA Read NO_PASID] Request device [02:00.0] fault addr 0x0
kmemleak: Kernel memory leak detector initialized (mem pool available: 15679)
DMA-API: preallocated 65536 debug entries
DMA-API: debugging enabled by kernel config
rcu: Preemptible hierarchical RCU implementation.
Spectre V1 : Mitigation: usercopy/swapgs barriers"""

# A part of 2 ranges: 2 functions, one of a module and one that the compiler split, and a call
# in user space that is too short to be named.
SYSTEM_MAP = """ffffffff81000000 T _text
ffffffff81000100 t work.isra.0
ffffffff81000180 t work.cold
ffffffff81000200 D data
ffffffff81000300 T rest
"""
PROGRAM = "symbol\tffffffffc0000000\tmodule_work\npart\trow\t2\tours\t1000\n"
COUNTED = """0 ffffffff81000110 300
0 ffffffff81000190 100
0 ffffffffc0000010 598
0 401000 1
0 ffffffff81000300 1
"""
PROFILE = {"module_work": 299, "work": 200, profile.OTHERS: 1}


def refuses(*arguments):
    try:
        profile.figures(*arguments)
    except programs.Failed:
        return True
    return False


def profile_cases():
    text = profile.figures(PROGRAM, COUNTED, SYSTEM_MAP)
    lines = [line.split("\t") for line in text.splitlines()]
    got = {line[3].split(",")[0]: int(line[5]) for line in lines}
    yield "profile: by function, for each range", got == PROFILE, f"{got}"
    yield "profile: as scripts/bench reads it", all(
        line[:3] == ["bench", "row", "2"] and line[4] == "ours" and len(line) == 9
        for line in lines), f"{lines}"
    yield "profile: instructions that nobody counted", refuses(
        PROGRAM.replace("1000", "1100"), COUNTED, SYSTEM_MAP), ""
    yield "profile: a part that the program does not have", refuses(
        PROGRAM, COUNTED + "1 401000 1\n", SYSTEM_MAP), ""
    yield "profile: a program without parts", refuses("", "", SYSTEM_MAP), ""


def selftest_cases():
    """With a kernel's source, where there are those of iommu; nothing is left behind."""
    for name in ("foo", "foo/bar", "/bar"):
        with tempfile.TemporaryDirectory() as out:
            Path(out, "source/tools/testing/selftests/iommu").mkdir(parents=True)
            try:
                why = str(programs.selftest(name, Path(out)))
            except programs.Failed as error:
                why = str(error)
            yield f"a kernel selftest '{name}'", why == f"there is no kernel selftest '{name}'" \
                and os.listdir(out) == ["source"], why


QEMU_ENDS = f"""{arch.ARCH.qemu}: warning: TCG doesn't support requested feature
{arch.ARCH.qemu}: -m foo: Parameter 'size' expects a non-negative number below 2^64
Optional suffixes k, M, G, T, P or E mean kilo-, mega-, giga-, tera-, peta-
and exabytes, respectively.
"""


def qemu_cases():
    for text, wanted in {QEMU_ENDS: QEMU_ENDS.splitlines()[1], "": "nothing",
                         "setpriv: failed to execute it\n": "setpriv: failed to execute it",
                         "assertion failed\nAborted\n": "Aborted"}.items():
        got = vm.complaint(text)
        yield f"QEMU: {wanted[:40]}", got == wanted, got


def arch_cases():
    for text, wanted in {"": True, "# arch: x86": True, "# arch: arm64": False,
                         "# arch: x68": None, "# arch: arm64 x86": None}.items():
        try:
            got = arch.concerns(f"# SPDX-License-Identifier: GPL-2.0-only\n{text}\n-cpu max\n")
        except SystemExit:
            got = None
        yield f"architecture: '{text}'", got is wanted, f"wanted {wanted}, got {got}"


def script(name):
    """A script as a module."""
    loader = SourceFileLoader(name, f"scripts/{name}")
    sys.dont_write_bytecode = True
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    sys.modules[name] = module
    loader.exec_module(module)
    return module


BENCH = """bench\trow\t64\tmap, instructions\tours\t20\t10\t30\t3
bench\trow\t64\tmap, instructions\tmainline\t50\t40\t60\t3
promise\tkept\tit is fast
# bench
"""


def bench_cases():
    bench = script("bench")
    figures = bench.read(BENCH)
    yield "bench: both paths are one figure", len(figures) == 1 and figures[0].by == {
        "ours": (20, 10, 30, 3), "mainline": (50, 40, 60, 3)}, f"{figures}"
    yield "bench: the ratio", figures[0].ratio == "2.50", figures[0].ratio
    yield "bench: nothing to doubt", not bench.doubt(figures), bench.doubt(figures)
    for path in ("ours", "mainline"):
        text = "".join(line for line in BENCH.splitlines(True) if path not in line)
        doubt = bench.doubt(bench.read(text))
        yield f"bench: {path} alone is missing", doubt.endswith(f"{path} was not measured"), doubt
    yield "bench: nothing at all", bench.doubt(bench.read("ok\n")) == "nothing was measured", ""
    promises = bench.promises(BENCH)
    yield "bench: promises", promises == [("kept", "it is fast")], f"{promises}"


def cases():
    yield from profile_cases()
    yield from arch_cases()
    yield from qemu_cases()
    yield from selftest_cases()
    yield from bench_cases()
    for name, (text, *want) in REPORTS.items():
        report = ktap.read(text)
        got = [len(report.passed), len(report.failed), len(report.skipped), len(report.problems)]
        yield f"TAP: {name}", got == want, f"wanted {want}, got {got}"
    reason = ktap.read(REPORTS["skip with its reason"][0]).skipped[0]
    yield "TAP: the reason of a skip", reason == ("a", "no device"), reason
    for line in SPLATS.splitlines():
        yield f"splat: {line[:40]}", splat.find([f"[    1.234567] {line}"]), line
    for line in HARMLESS.splitlines():
        yield f"harmless: {line[:40]}", not splat.find([f"[    1.234567] {line}"]), line
    yield "taint of a warning", splat.taints(512) and not splat.taints(1 << 12 | 1 << 18), ""


def main():
    results = list(cases())
    print(f"1..{len(results)}")
    for number, (name, good, why) in enumerate(results, 1):
        print(f"{'' if good else 'not '}ok {number} {name.replace('#', '')}")
        if not good:
            print(f"# {why}")
    return not all(good for _, good, _ in results)


sys.exit(main())
