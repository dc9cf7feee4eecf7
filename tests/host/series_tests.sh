#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# At each commit of the series the kernel builds as a whole and passes the tests that
# there are by then: those which series/commits.toml names with this commit, and the
# kernel's own (kernel_*, kunit_*) which it names with this one or an earlier one. And
# where the test of a fix comes, it is red without the fix.
#
# The kernel is the plain one, of a copy of the project that ends with the commit. One
# that is the same, bit for bit, as one that passed is not run again.
# COMMITS="12 13" tests these only, see scripts/commits.sh.
# tier: long
# timeout: 21600
set -u
cd "$(dirname "$0")/../.." || exit
proof=tests
# shellcheck source=scripts/commits.sh
. scripts/commits.sh
copy=$where/project guest=$copy/guest guest_logs=$log.guests
base=$(in_series rev-list --max-parents=0 series)
whole=$(scripts/kernel-build plain) || exit

# The cache of these kernels is one of its own, but for what never changes.
kernels=$where/${entry##*/}
[ -d "$kernels/pristine" ] || {
	rm -rf "$kernels/new" && mkdir -p "$kernels" "$entry/../ccache" "$entry/../download" &&
		cp -al "$entry/pristine" "$kernels/new" && mv "$kernels/new" "$kernels/pristine"
} || exit
ln -sfn ../../ccache ../../download "$where"

# make_kernel COMMIT [FIX]: in $out, perhaps without that fix. The configuration may name
# options that come later. Programs are newer than the kernel, and so are their headers.
make_kernel() {
	rm -rf "$copy" && mkdir "$copy" &&
		cp -r --parents demo kernel.lock rdma-core scripts tests tools \
			drivers/dma-buf/tests/dma-buf-test-uapi.h "$copy" || return
	# shellcheck disable=SC2046	# a list of files
	in_series archive "$1" $(in_series diff --name-only "$base" "$1") | tar -x -C "$copy" || return
	[ $# = 1 ] || in_series diff "$2" "$2^" | patch -sf -p1 -d "$copy" > "$log" || return
	sed -n 's/^config //p' drivers/dma-buf/tests/Kconfig | while read -r option; do
		grep -qsx "config $option" "$copy/drivers/dma-buf/tests/Kconfig" ||
			sed -i "/^CONFIG_$option=/d" "$copy"/tests/vm/config/*.config
	done
	out=$(DMA_BUF_PHYS_CACHE=$where "$copy/scripts/kernel-build" plain) &&
		rm -rf "${out:?}/usr" && ln -s "$whole/usr" "$out/usr"
}

# contents TEST: of that kernel. Its selftests do not use drivers that are for tests.
contents() {
	case $1 in
	kernel_*) unused='./modules/*/drivers/dma-buf/tests/*' ;;
	*) unused='' ;;
	esac
	(
		cd "$out" || exit
		find . -name '*.ko' ! -path "$unused" -o -name bzImage | sort | xargs sha256sum
	)
}

# sources TEST..: the sum of the tests, of what they need, and of all that runs them
sources() {
	{
		for test; do
			ls tests/guest/"$test".[cs]*
			sed -n 's/^[ #*]*needs: //p' tests/guest/"$test".[cs]* | tr ' ' '\n'
		done
		ls -d tests/lib tests/vm scripts/harness scripts/check scripts/guest-root* \
			scripts/rxe-provider rdma-core tests/host/series_tests.sh
	} | sort -u | xargs -I{} find {} -name '*.pyc' -o -type f -print | sort | xargs cat | sha256sum
}

# run TEST..: on that kernel. How many cases KUnit has is right at the end only.
run() {
	mkdir "$guest"
	for test; do
		for file in tests/guest/"$test".[cs]*; do
			sed -E 's/^( \*|#) flavour: .*/\1 flavour: plain/; s/(kunit\.sh) "[^"]*"/\1 any/' \
				"$file" > "$guest/${file##*/}"
		done
	done
	chmod +x "$guest"/*
	KERNEL_OUT=$out ONLY='' "$copy/scripts/check" --guest "$guest" --host "$guest/none" \
		--logs "$guest_logs" 2>&1 | tee "$log.check" | sed -u 's/^/# /'
	said=$(sed -n 's/^FAIL \([^:]*\):.*/failed: \1/p' "$log.check" | paste -sd,)
	tail -n 1 "$log.check" | grep -q '^[1-9][0-9]* passed, 0 failed,' || return
	for test; do
		grep -q "^ok  *$test \[.*: [1-9][0-9]* passed" "$log.check" && continue
		said="nothing of $test ran"
		return 1
	done
}

# passes COMMIT TEST..: those that have not passed with the same kernel before
passes() {
	make_kernel "$1" || return
	shift
	left=
	for test; do
		known "$(contents "$test") $(sources "$test")" || left="$left $test"
	done
	if [ -z "$left" ]; then
		said="the same kernel as before"
		return
	fi
	# shellcheck disable=SC2086	# a list of words
	run $left || return
	for test in $left; do remember "$(contents "$test") $(sources "$test")"; done
}

# finds FIX COMMIT TEST PATTERN: at the commit, but without the fix, the test fails, and
# the name of a case that does, or a line of the kernel log, matches the pattern.
finds() {
	make_kernel "$2" "$1" || return
	if run "$3"; then
		said="it passed"
		return 1
	fi
	{ grep '^ *not ok' "$log.check"; cat "$guest_logs"/*/console.log; } | grep -qE "$4" && return
	said="$said, but nothing matches '$4'"
	return 1
}

# tests COMMIT: that there are by then
tests() {
	{ in_series log -1 --format=%N "$1"; in_series log --format=%N "$1" | grep -E '^test (kernel|kunit)_'; } |
		sed -n 's/^test //p' | sort -u
}

# fixes COMMIT: what the tests that come with it have found; commit, test, pattern
fixes() {
	own=$(in_series log -1 --format=%N "$1" | sed -n 's/^test //p' | tr '\n' ' ')
	in_series log --reverse --format='fix %H%n%N' "$1" | awk -v "own= $own" '
		$1 == "fix" { fix = $2 }
		$1 == "red" && index(own, " " $2 " ") { print fix, $2, $3 }'
}

echo "TAP version 13"
taken > "$where/taken"
while read -r n commit; do
	# shellcheck disable=SC2046	# a list of words
	set -- $(tests "$commit")
	content="$(in_series rev-parse "$commit^{tree}") $(sources "$@")"
	verdict "$n $(subject "$commit"): $# tests" "$content" passes "$commit" "$@"
	fixes "$commit" > "$where/fixes"
	while read -r fix test pattern; do
		verdict "$n $test, red without '$(subject "$fix")'" "$content $fix $pattern" \
			finds "$fix" "$commit" "$test" "$pattern"
	done < "$where/fixes"
done < "$where/taken"
echo "1..${rows-0}"
