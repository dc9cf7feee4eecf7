#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The tests of iommufd_dmabuf.c on the debug kernel. It is slow, so only the
# variants with several ranges.
# flavour: debug
# topology: root
# tier: check
# timeout: 400
# leak: yes
# needs: tests/guest/iommufd_dmabuf.c
exec /needs/iommufd_dmabuf -V one
