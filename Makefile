# SPDX-License-Identifier: GPL-2.0-only
# Everything there is to run. `make` alone prints this help.

.DEFAULT_GOAL := help
export V DEBUG TOPOLOGY TIMEOUT MEMORY PARAMS SELFTEST ROOT ONLY JOBS KERNEL KERNEL_OUT SETUP AGAIN
export DESTDIR FLAVOUR KCONFIG PACKAGES PREFIX RXE
export PYTHONDONTWRITEBYTECODE := 1

# An ARCH= that is given reaches the scripts; an empty one would disturb the kernel's make.
ifneq ($(filter-out x86,$(ARCH)),)
ifneq ($(filter-out help setup check check-long vm clean distclean,$(MAKECMDGOALS)),)
$(error ARCH=$(ARCH): only setup, check, check-long and vm know other architectures)
endif
endif

.PHONY: help demo check check-long vm tool lint bench docs series install uninstall setup clean distclean

help:
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 20
	@echo
	@echo '  V=1 shows everything; KERNEL=<tree or tarball> another Linux 7.3.x;'
	@echo '  SETUP=no installs nothing; JOBS=<n> guests at a time; ARCH=arm64 emulates'
	@echo '  that one (check, vm).'

setup:		## list and install the packages that are missing
	@scripts/setup

demo: setup	## what it is good for, in a guest
	@scripts/play demo

check: setup	## all tests; ONLY=<glob> some of them
	@scripts/check

check-long: setup	## the tests that take long, from where it ended; ONLY=<glob>, AGAIN=1 all
	@scripts/check --tier long

vm: setup	## RUN=<program> [ARGS=..] [DEBUG=1] [TOPOLOGY=<name>]: run it in the guest
	@test -n "$(RUN)" || { echo 'error: make vm RUN=<program> [ARGS=..]' >&2; exit 2; }
	@scripts/vm $(RUN) $(ARGS)

tool: setup	## build/tools/dma-buf-phys: list, follow, explain; see tools/dma-buf-phys/README
	@$(MAKE) -s -C tools/dma-buf-phys O=$(CURDIR)/build/tools/dma-buf-phys
	@echo build/tools/dma-buf-phys/dma-buf-phys

lint: setup	## style and static checks of our files
	@scripts/lint

bench: setup	## the measurements; ONLY=<glob> some of them
	@scripts/bench

docs: setup	## the documentation, as HTML, in build/docs
	@scripts/docs

series: setup	## the whole as patches for git am, in build/series
	@scripts/series

install: setup	## KCONFIG=<file> or FLAVOUR=plain|stock, [DESTDIR=..]: see README, "Installing"
	@scripts/install

uninstall:	## [DESTDIR=..]: remove what was installed
	@scripts/install --undo

clean:		## remove build/
	@rm -rf build

distclean: clean	## remove the cache, too
	@scripts/distclean
