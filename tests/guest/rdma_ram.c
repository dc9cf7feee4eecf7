// SPDX-License-Identifier: GPL-2.0-only
/*
 * System memory has two importers at once: rxe by CPU view, iommufd by domain view.
 *
 * An RDMA peer, an edu device and the CPU read what the other two wrote, in a
 * buffer of the system heap and in udmabufs.
 *
 * flavour: plain
 * topology: root
 * tier: check
 * timeout: 200
 * root: debian
 * libs: ibverbs
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backing.h"
#include "iommufd.h"
#include "leaks.h"
#include "rdma.h"
#include "scene.h"

#include "kselftest_harness.h"

#define LIMIT		60	/* seconds per test */
#define PAGE		0x1000ULL
#define IOVA		0x100000000ULL
#define MR_IOVA		0x7e0000000000ULL
#define MEM		0x100000
#define SIZE		0x80000ULL

struct both {
	struct rdma_host a, b;
	struct rdma_qp qa, qb;
	struct rdma_mr mr;
	struct scene scene;
	struct backing backing;
	struct vfio_region_dma_range range;
	struct layout layout;
	unsigned int dmabufs;
};

FIXTURE(both)
{
	struct both both;
};

FIXTURE_VARIANT(both)
{
	const char *kind;
	int access;
};

FIXTURE_VARIANT_ADD(both, heap) { .kind = "heap" };
FIXTURE_VARIANT_ADD(both, udmabuf) { .kind = "udmabuf" };

FIXTURE_VARIANT_ADD(both, scattered_on_demand) {
	.kind = "scattered", .access = IBV_ACCESS_ON_DEMAND,
};

static int open_scene(struct scene *scene, const struct backing *backing)
{
	int err;

	*scene = (struct scene){ .exporter.fd = -1, .edu.dev.fd = -1 };
	scene->bar = (struct bar){
		.map = backing_map(backing, NULL, 0),
		.want = malloc(backing->size),
		.size = backing->size,
		.map_size = backing->size,
	};
	if (scene->bar.map == MAP_FAILED || !scene->bar.want)
		return -ENOMEM;
	bar_fill(&scene->bar, ++scene->seed);
	scene->iommufd = iommufd_open();
	err = ioas_alloc(scene->iommufd, &scene->ioas);
	return err ? err : edu_open(&scene->edu, 0, scene->iommufd,
				    scene->ioas);
}

FIXTURE_SETUP(both)
{
	struct both *both = &self->both;
	struct rdma_region region = {
		.len = SIZE,
		.iova = MR_IOVA,
		.access = RDMA_ALL | variant->access,
	};

	both->dmabufs = count_dmabufs();
	ASSERT_EQ(0, backing_new(&both->backing, variant->kind, SIZE));
	rdma_host_start(&both->a, RDMA_A, MEM);
	rdma_host_start(&both->b, RDMA_B, MEM);
	ASSERT_EQ(0, open_scene(&both->scene, &both->backing));
	both->range.length = SIZE;
	both->layout = (struct layout){ &both->range, 1 };
	region.dmabuf = both->backing.dmabuf;
	ASSERT_EQ(0, rdma_reg(&both->a, &region, &both->mr));
	rdma_qps_connect(&both->a, &both->qa, 0, &both->b, &both->qb,
			 IBV_QPT_RC);
	ASSERT_EQ(0, scene_map_at(&both->scene, both->backing.dmabuf,
				  both->layout, IOVA));
}

FIXTURE_TEARDOWN(both)
{
	struct both *both = &self->both;

	rdma_host_stop(&both->b);
	rdma_host_stop(&both->a);
	backing_free(&both->backing);
	scene_close(&both->scene);
	EXPECT_EQ(both->dmabufs, settle_dmabufs(both->dmabufs));
}

static enum ibv_wc_status peer(struct both *both,
			       enum ibv_wr_opcode opcode, __u64 offset,
			       __u32 len)
{
	return rdma_do(&both->qb, rdma_wr_remote(opcode, both->b.key, 0, len,
						 both->mr.key,
						 MR_IOVA + offset));
}

/* The peer writes @len bytes; the CPU sees them, and the device their start. */
static int peer_writes(struct both *both, __u64 offset, __u32 len)
{
	struct scene *scene = &both->scene;
	int err;

	scene_pattern(scene, both->b.mem, len);
	bar_note(&scene->bar, both->layout, offset, both->b.mem, len);
	if (peer(both, IBV_WR_RDMA_WRITE, offset, len))
		return -EIO;
	err = scene_judge(scene);
	return err ? err : scene_read_arrives(scene, IOVA + offset,
					      both->layout, offset, PAGE);
}

/* The device writes a block; the peer and the CPU see it. */
static int device_writes(struct both *both, __u64 offset)
{
	struct scene *scene = &both->scene;
	int err = scene_write_arrives(scene, IOVA + offset, both->layout,
				      offset, PAGE);

	if (err)
		return err;
	memset(both->b.mem, 0, PAGE);
	if (peer(both, IBV_WR_RDMA_READ, offset, PAGE))
		return -EIO;
	return memcmp(both->b.mem, scene->bar.want + offset, PAGE) ? -EILSEQ : 0;
}

TEST_F_TIMEOUT(both, see_each_other, LIMIT)
{
	struct both *both = &self->both;

	EXPECT_EQ(0, peer_writes(both, 0, SIZE));
	EXPECT_EQ(0, peer_writes(both, 0x3210, 0x5000));
	EXPECT_EQ(0, device_writes(both, 0));
	EXPECT_EQ(0, device_writes(both, 0x7800));
	EXPECT_EQ(0, device_writes(both, SIZE - PAGE));
	EXPECT_EQ(0, rdma_dereg(&both->mr));
}

/* Either may go first, the other goes on. */
TEST_F_TIMEOUT(both, iommufd_goes_first, LIMIT)
{
	struct both *both = &self->both;
	struct scene *scene = &both->scene;
	__u64 unmapped;

	EXPECT_EQ(0, ioas_unmap(scene->iommufd, scene->ioas, IOVA, SIZE,
				&unmapped));
	EXPECT_EQ(0, scene_write_stopped(scene, IOVA));
	scene_pattern(scene, both->b.mem, SIZE);
	bar_note(&scene->bar, both->layout, 0, both->b.mem, SIZE);
	EXPECT_EQ(IBV_WC_SUCCESS, peer(both, IBV_WR_RDMA_WRITE, 0, SIZE));
	EXPECT_EQ(0, scene_judge(scene));
	EXPECT_EQ(0, rdma_dereg(&both->mr));
}

TEST_F_TIMEOUT(both, rdma_goes_first, LIMIT)
{
	struct both *both = &self->both;
	struct scene *scene = &both->scene;

	EXPECT_EQ(0, peer_writes(both, 0, PAGE));
	EXPECT_EQ(0, rdma_dereg(&both->mr));
	EXPECT_EQ(IBV_WC_REM_ACCESS_ERR,
		  peer(both, IBV_WR_RDMA_WRITE, 0, PAGE));
	EXPECT_EQ(0, scene_judge(scene));
	EXPECT_EQ(0, scene_write_arrives(scene, IOVA, both->layout, 0, PAGE));
}

int main(int argc, char **argv)
{
	rdma_net_open();
	return test_harness_run(argc, argv);
}
