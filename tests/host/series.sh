#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# summary: make series: git am gives what is built, and nothing is forgotten
# timeout: 300
set -u
cd "$(dirname "$0")/../.." || exit
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 1' HUP INT TERM
n=0

report() {
	n=$((n + 1))
	if [ "$2" = 0 ]; then echo "ok $n $1"; else
		sed 's/^/# /' "$copy/log"
		echo "not ok $n $1"
	fi
}

# refused TEXT WHAT: on the copy, which is changed
refused() {
	! "$copy/scripts/series" > "$copy/log" 2>&1 && grep -q "$1" "$copy/log"
	report "$2" $?
}

echo "TAP version 13"
echo "1..8"
scripts/series > "$copy/log" 2>&1
report "the series is made, and checkpatch has nothing to add" $?
[ -s build/series/0000-cover-letter.patch ] && ! grep -q '\*\*\*' build/series/0000-cover-letter.patch
report "it has a cover letter" $?

grep -oE -e '[0-9]{1,3}(,[0-9]{3})+' -e '[0-9,]+ / [0-9,]+' series/cover-letter > "$copy/numbers"
while read -r number; do grep -qF "$number" README.md || echo "$number"; done < "$copy/numbers" > "$copy/log"
[ -s "$copy/numbers" ] && ! [ -s "$copy/log" ]
report "the figures in it are those of README.md" $?

cp -r scripts series patches drivers include Documentation kernel.lock tests "$copy"
echo "/* new */" > "$copy/drivers/dma-buf/dma-buf-phys-new.c"
refused "file drivers/dma-buf/dma-buf-phys-new.c is in no commit" "a file that is in no commit"
rm "$copy/drivers/dma-buf/dma-buf-phys-new.c"
cp patches/0001-*.patch "$copy/patches/0099-new.patch"
refused "hook 0099-new.patch is in no commit" "a hook that is in no commit"
rm "$copy/patches/0099-new.patch"
sed -i 's/#ifdef CONFIG_IOMMU_API/#if defined(CONFIG_IOMMU_API)/' "$copy/drivers/dma-buf/dma-buf-phys-internal.h"
refused "part 'domain view'" "a part that is not found"
cp drivers/dma-buf/dma-buf-phys-internal.h "$copy/drivers/dma-buf"
sed -i 's/"kernel_iommufd"/"kernel_iommufdx"/' "$copy/series/commits.toml"
refused "the test kernel_iommufdx, which does not exist" "a test that does not exist"
cp series/commits.toml "$copy/series"
sed -i '/^hook = "0012-/d' "$copy/series/commits.toml"
refused "neither hook nor subject and body" "a commit without a message"
