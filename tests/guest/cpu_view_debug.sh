#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# cpu_view.c on the debug kernel. What a memory cgroup is charged is left out: that
# kernel takes minutes to fill one.
# flavour: debug
# topology: root
# tier: check
# timeout: 300
# leak: yes
# needs: tests/guest/cpu_view.c
exec /needs/cpu_view -T charged_to_who_attached -T charge_over_4g
