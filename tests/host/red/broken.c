// SPDX-License-Identifier: GPL-2.0-only
// summary: does not compile
#error "on purpose"
