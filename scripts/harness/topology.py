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


def load(name, run_dir):
    """The arguments, and the -device argument of each device that has an id."""
    path = DIRECTORY / f"{name}.topo"
    if not path.is_file():
        raise SystemExit(f"error: no topology '{name}'; there are: {', '.join(names())}")
    arguments = shlex.split(path.read_text().replace("@DIR@", str(run_dir)), comments=True)
    devices = {}
    for option, value in zip(arguments, arguments[1:]):
        if option == "-device":
            properties = dict(p.split("=", 1) for p in value.split(",")[1:])
            if "id" in properties:
                devices[properties["id"]] = value
    return arguments, devices
