# SPDX-License-Identifier: GPL-2.0-only
"""Topologies: tests/vm/topology/*.topo, QEMU arguments one option per line.

@DIR@ stands for a directory of this run, for backing files; a file disk.raw of
64 MiB lies in it.
"""
import shlex

from .paths import ROOT

DIRECTORY = ROOT / "tests/vm/topology"


def names():
    return sorted(path.stem for path in DIRECTORY.glob("*.topo"))


def _properties(value):
    return dict(p.split("=", 1) for p in value.split(",")[1:])


def load(name, run_dir):
    """The arguments, and how to plug in again each device that has an id.

    That is a list of QEMU's monitor commands, of which the last one counts. Memory
    is made anew: QEMU 10.0 aborts when a device gets memory that was plugged before.
    """
    path = DIRECTORY / f"{name}.topo"
    if not path.is_file():
        raise SystemExit(f"error: no topology '{name}'; there are: {', '.join(names())}")
    arguments = shlex.split(path.read_text().replace("@DIR@", str(run_dir)), comments=True)
    objects, devices = {}, {}
    for option, value in zip(arguments, arguments[1:]):
        if option == "-object":
            objects[_properties(value)["id"]] = value
        if option == "-device" and "id" in (about := _properties(value)):
            memory = about.get("memdev")
            anew = [f"object_del {memory}", f"object_add {objects[memory]}"] if memory else []
            devices[about["id"]] = [*anew, f"device_add {value}"]
    return arguments, devices
