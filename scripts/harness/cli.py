# SPDX-License-Identifier: GPL-2.0-only
"""The arguments of a script; common.sh does the same for those in sh."""
import sys
from pathlib import Path

NAME = Path(sys.argv[0]).name


def misused(why):
    print(f"error: {why}; see {NAME} --help", file=sys.stderr)
    sys.exit(2)


def arguments(manual):
    """What was given. After -h or --help the manual is printed, and nothing is done."""
    given = sys.argv[1:]
    if given[:1] in (["-h"], ["--help"]):
        print(manual.strip())
        sys.exit()
    return given


def no_arguments(manual):
    if arguments(manual):
        misused(f"{NAME} takes no arguments")
