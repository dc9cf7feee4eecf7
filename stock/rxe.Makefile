# SPDX-License-Identifier: GPL-2.0-only
# Added to the Makefile of rxe.
ccflags-y += -include $(src)/own.h
