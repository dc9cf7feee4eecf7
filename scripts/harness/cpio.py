# SPDX-License-Identifier: GPL-2.0-only
"""An initramfs: a cpio archive of the newc form, written without root."""
import os
import stat
from pathlib import Path


class Cpio:
    def __init__(self):
        self.names = set()
        self.parts = []

    def _entry(self, name, mode, content=b""):
        """Name and mode decide; every entry belongs to root, at time 0."""
        encoded = name.encode() + b"\0"
        fields = (len(self.parts) + 1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self.parts.append(head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4))

    def directory(self, name):
        if name in self.names or name in ("", "."):
            return
        self.directory(os.path.dirname(name))
        self.names.add(name)
        self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, content, mode=0o755):
        self.directory(os.path.dirname(name))
        self.names.add(name)
        self._entry(name, stat.S_IFREG | mode, content)

    def symlink(self, name, target):
        self.directory(os.path.dirname(name))
        self.names.add(name)
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def tree(self, name, directory):
        """A directory with all that is below it, links to the outside left out."""
        for path in sorted(Path(directory).rglob("*")):
            inside = f"{name}/{path.relative_to(directory)}"
            if path.is_symlink():
                continue
            if path.is_dir():
                self.directory(inside)
            else:
                self.file(inside, path.read_bytes(), path.stat().st_mode & 0o777)

    def write(self, path):
        self._entry("TRAILER!!!", 0)
        Path(path).write_bytes(b"".join(self.parts))
