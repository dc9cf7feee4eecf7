# SPDX-License-Identifier: GPL-2.0-only
"""What scripts/check, scripts/vm and scripts/play are made of."""
