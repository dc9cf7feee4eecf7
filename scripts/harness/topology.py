# SPDX-License-Identifier: GPL-2.0-only
"""Topologies: tests/vm/topology/*.topo, QEMU arguments one option per line.

A line that begins with @ARCH is for that architecture only; "# arch: ARCH" says so of
the file.

@DIR@ stands for a directory of this run, for backing files; a file disk.raw of
64 MiB lies in it.
"""
import re
import shlex

from . import arch
from .paths import ROOT

DIRECTORY = ROOT / "tests/vm/topology"


def known():
    return {path.stem for path in DIRECTORY.glob("*.topo")}


def names():
    """Those of this architecture."""
    return sorted(name for name in known()
                  if arch.concerns((DIRECTORY / f"{name}.topo").read_text()))


def _lines(text):
    """Those for this architecture."""
    for line in text.splitlines():
        if not (match := re.match(r"@(\w+) ", line)):
            yield line
        elif arch.known(match[1]) == arch.ARCH.name:
            yield line[match.end():]


def _properties(value):
    return dict(p.split("=", 1) for p in value.split(",")[1:])


def load(name, run_dir):
    """The arguments, and how to plug in again each device that has an id.

    That is a list of QEMU's monitor commands, of which the last one counts. Memory
    is made anew: QEMU 10.0 aborts when a device gets memory that was plugged before.
    """
    if name not in names():
        raise SystemExit(f"error: no topology '{name}' on {arch.ARCH.name}; "
                         f"there are: {', '.join(names())}")
    text = (DIRECTORY / f"{name}.topo").read_text()
    text = "\n".join(_lines(text)).replace("@DIR@", str(run_dir))
    arguments = shlex.split(text, comments=True)
    objects, devices = {}, {}
    for option, value in zip(arguments, arguments[1:]):
        if option == "-object":
            objects[_properties(value)["id"]] = value
        if option == "-device" and "id" in (about := _properties(value)):
            memory = about.get("memdev")
            anew = [f"object_del {memory}", f"object_add {objects[memory]}"] if memory else []
            devices[about["id"]] = [*anew, f"device_add {value}"]
    return arguments, devices
