# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
# shellcheck disable=SC2034	# used by whoever reads this file
# Read by the tests that build the directories which the project touches, and
# nothing of what these depend on: which they are, and what must not be missing.
# Who reads it has the directory of the build in $out, and a file in $log.

directories="drivers/dma-buf drivers/vfio drivers/iommu/iommufd drivers/infiniband/core
	drivers/infiniband/sw/rxe"
ours="(is_dma_buf_phys|dma_buf_phys|phys_(ranges|slice|cursor|dma|domain|cpu|mmap|hold|drop|wait|refuse|is)"
ours="${ours}_|vfio_pci_(core|dma_buf)|iopt_dmabuf|iommufd_test|ib_umem_dmabuf|__rdma_dmabuf|rxe_dmabuf|mock_|__u?(div|mod|divmod)di)"

# unresolved NM MIN: what of ours the linked objects need, and none of them has.
# They have MIN symbols at least, else something is wrong here.
unresolved() {
	for directory in $directories; do
		"$1" "$out/$directory/built-in.a" 2>/dev/null
		[ ! -f "$out/$directory/modules.order" ] ||
			(cd "$out" && xargs -r "$1" < "$directory/modules.order")
	done | awk -v "min=$2" 'NF > 1 && $(NF - 1) == "U" { need[$NF] }
			NF > 1 && $(NF - 1) ~ /^[A-TVW]$/ { have[$NF]; n++ }
			END { for (s in need) if (!(s in have)) print "nobody has " s
			if (n < min) print "nobody has dma_buf_phys_anything: nm found", n + 0 }' |
		grep -E " $ours" > "$log"
	! [ -s "$log" ]
}
