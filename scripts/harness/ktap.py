# SPDX-License-Identifier: GPL-2.0-only
"""Read TAP and KTAP, nested or several in a row. Only leaves are counted."""
import re
from dataclasses import dataclass, field

RESULT = re.compile(r"^( *)(not ok|ok)\b *(\d*)(.*)$")
PLAN = re.compile(r"^( *)1\.\.(\d+)(?: *# *SKIP *(.*))?\s*$", re.I)
VERSION = re.compile(r"^( *)K?TAP version \d+$")
DIRECTIVE = re.compile(r"#\s*(SKIP|TODO|XFAIL|XPASS|ERROR|TIMEOUT)\b:?\s*(.*)$", re.I)


@dataclass
class Level:
    """The results at one indentation, since the last plan or parent."""

    indent: int
    plan: int | None = None
    seen: int = 0
    failed: int = 0


@dataclass
class Report:
    passed: list = field(default_factory=list)
    failed: list = field(default_factory=list)
    skipped: list = field(default_factory=list)	# (name, reason)
    problems: list = field(default_factory=list)	# the report itself is broken


class Reader:
    def __init__(self):
        self.report = Report()
        self.levels = []

    def _close(self, level):
        if level.plan is not None and level.plan != level.seen:
            self.report.problems.append(f"{level.plan} cases were planned, {level.seen} reported")

    def _down_to(self, indent):
        """End the levels deeper than this one, and return them."""
        closed = []
        while self.levels and self.levels[-1].indent > indent:
            closed.append(self.levels.pop())
            self._close(closed[-1])
        return closed

    def _level(self, indent):
        if not self.levels or self.levels[-1].indent < indent:
            self.levels.append(Level(indent))
        return self.levels[-1]

    def _restart(self, indent):
        """Another report begins at this indentation."""
        self._down_to(indent)
        if self.levels and self.levels[-1].indent == indent and self.levels[-1].seen:
            self._close(self.levels.pop())

    def _result(self, indent, ok, text):
        children = [level for level in self._down_to(indent) if level.seen]
        level = self._level(indent)
        level.seen += 1
        name = DIRECTIVE.sub("", text).strip(" -\t") or f"case {level.seen}"
        directive = DIRECTIVE.search(text)
        kind = directive[1].upper() if directive else ""
        level.failed += not ok
        if children:
            if not ok and not any(child.failed for child in children):
                self.report.failed.append(name)
        elif kind == "SKIP":
            self.report.skipped.append((name, directive[2].strip()))
        elif ok or kind == "TODO":
            self.report.passed.append(name)
        else:
            self.report.failed.append(name)

    def line(self, line):
        if match := VERSION.match(line):
            self._restart(len(match[1]))
        elif match := PLAN.match(line):
            level_indent = len(match[1])
            # TAP allows the plan last; then it ends its level, too.
            self._down_to(level_indent)
            level = self._level(level_indent)
            if level.plan is not None:
                self._restart(level_indent)
                level = self._level(level_indent)
            level.plan = int(match[2])
            if level.plan == 0 and match[3] is not None:
                self.report.skipped.append(("all", match[3]))
        elif match := RESULT.match(line):
            self._result(len(match[1]), match[2] == "ok", match[4])

    def end(self):
        self._down_to(-1)
        return self.report


def read(text):
    reader = Reader()
    for line in text.splitlines():
        reader.line(line.rstrip())
    return reader.end()
