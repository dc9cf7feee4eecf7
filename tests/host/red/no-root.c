// SPDX-License-Identifier: GPL-2.0-only
// summary: wants a library, but no root that has it
// libs: ibverbs
int main(void) { return 0; }
