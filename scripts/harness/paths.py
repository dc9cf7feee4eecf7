# SPDX-License-Identifier: GPL-2.0-only
"""Where things are."""
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build"
LOGS = BUILD / "logs"
