#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The examples of the documentation, an exporter and two importers, do what it says.
#
# flavour: plain debug
# topology: root switch
# tier: check
# timeout: 120
# params: kunit.enable=1 kunit.autorun=1
# leak: yes
exec sh /lib/kunit.sh "5 cases, 5 with parameters" dma-buf-phys-example_kunit
