// SPDX-License-Identifier: GPL-2.0-only
/*
 * "dma-buf-phys list" shows what there is, and "dma-buf-phys events" what
 * happens: known exports and importers in known states. Their JSON is read by
 * Python.
 *
 * root: debian
 * flavour: plain
 * topology: root
 * tier: check
 * timeout: 180
 * needs: tools/dma-buf-phys
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "iommufd.h"
#include "report.h"
#include "scene.h"
#include "testdrv.h"

#include "kselftest_harness.h"

#define IOVA		0x100000000ULL
#define WINDOW		0x40000
#define PAGE		0x1000
#define NR_MANY		40
#define LIMIT		150	/* seconds per test, Python is slow here */
/*
 * What happens to one buffer, while another is released: suspend, restore, and
 * revoke by the close of the device.
 */
static const char life_dma[] =
"export attach map release stop unmap stopped restore map stop unmap stopped detach release";
static const char life_domain[] =
"export release stop stopped restore attach pin map stop unmap stopped unpin detach release";

#define LIST		"/tmp/list.json"
#define EVENTS		"/tmp/events.json"

/* Not in the order of the BAR. */
static const struct vfio_region_dma_range ranges[] = {
	{ .offset = 0x13000, .length = 0x2000 },
	{ .offset = 0x1000, .length = 0x1000 },
};

static const struct layout layout = { ranges, 2 };

/*
 * All expressions (of Python, the last NULL) hold of what is listed: b is the
 * buffer, i its importers by name, v their views by name.
 */
static bool listed(const char *const expressions[])
{
	static const char program[] =
		"import json, os, sys\n"
		"all = json.load(open('" LIST "'))['buffers']\n"
		"b = all[0] if all else {'importers': []}\n"
		"i = {x['name']: x for x in b['importers']}\n"
		"v = {n: {y['view']: y for y in x['views']} for n, x in i.items()}\n"
		"bad = [x for x in sys.argv[1:] if not eval(x)]\n"
		"for x in bad: print('# not so:', x)\n"
		"if bad: print('#', all)\n"
		"sys.exit(1 if bad else 0)\n";
	const char *argv[40] = { "python3", "-c", program };
	int status, nr = 3;
	pid_t pid;

	fflush(stdout);
	status = system("/needs/dma-buf-phys list --json > " LIST);
	if (status)
		return false;
	while (*expressions)
		argv[nr++] = *expressions++;
	pid = fork();
	if (!pid) {
		execvp(argv[0], (char **)argv);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && !status;
}

#define LISTED(...)						\
({								\
	const char *const expressions[] = {			\
		__VA_ARGS__, NULL				\
	};							\
								\
	listed(expressions);					\
})

FIXTURE(tool)
{
	struct scene scene;
	int importer;		/* by its DMA view */
	int old;		/* by scatterlist */
	int dmabuf;
	char name[PCI_NAME_LEN];
	char device[64];	/* that the exporter is this one, in Python */
	char holder[128];	/* that this process holds it, in Python */
};

FIXTURE_SETUP(tool)
{
	scene_open(&self->scene, PCI_ID_IVSHMEM, WINDOW);
	self->importer = importer_open(1, self->name);
	ASSERT_LE(0, self->importer);
	self->old = importer_reopen(self->name);
	ASSERT_LE(0, self->old);
	self->dmabuf = scene_export(&self->scene, layout);
	snprintf(self->device, sizeof(self->device), "b['device'] == '%s'",
		 self->scene.exporter.name);
	snprintf(self->holder, sizeof(self->holder),
		 "{'process': 'tool_list', 'pid': %d, 'fd': %d} in b['holders']",
		 getpid(), self->dmabuf);
}

FIXTURE_TEARDOWN(tool)
{
	close(self->importer);
	close(self->old);
	close(self->dmabuf);
	scene_close(&self->scene);
	EXPECT_EQ(0, testdrv_release(self->name));
	EXPECT_TRUE(LISTED("not all"));
}

static int attach_and_map(struct scene *scene, int importer, int old,
			  int dmabuf)
{
	int err = importer_attach(importer, dmabuf, DBT_ATTACH_CLASS, 0);

	if (!err)
		err = importer_map_all(importer);
	if (!err)
		err = importer_attach(old, dmabuf, 0, 0);
	if (!err)
		err = scene_map_at(scene, dmabuf, layout, IOVA);
	return err;
}

TEST_F_TIMEOUT(tool, list_in_every_state, LIMIT)
{
	EXPECT_TRUE(LISTED("len(all) == 1", "b['state'] == 'live'",
			   "b['reasons'] == [] and b['importers'] == []",
			   "b['exporter'] == 'vfio_pci_core'",
			   "b['size'] == 0x3000 and b['maps'] == 0",
			   "b['kind'] == 'mmio' and b['nr_ranges'] == 2",
			   self->device, self->holder,
			   "b['ranges'][0] == {'bar': 2, 'offset': 0x13000, 'length': 0x2000}",
			   "b['ranges'][1] == {'bar': 2, 'offset': 0x1000, 'length': 0x1000}",
			   "b['since'] == b['changed'] and 0 < b['age'] < 60"));

	ASSERT_EQ(0, attach_and_map(&self->scene, self->importer, self->old,
				    self->dmabuf));
	EXPECT_TRUE(LISTED("b['maps'] == 2 and len(i) == 3",
			   "v['dma-buf-test-importer']['dma']['maps'] == 1",
			   "v['iommufd'] == {'domain': {'view': 'domain', 'maps': 1, 'dead': 0}}",
			   "i['iommufd']['pins'] == 1",
			   "v['dma-buf']['sgt']['maps'] == 0",
			   "{x['process'] for x in i.values()} == {'tool_list'}",
			   "min(x['since'] for x in i.values()) >= b['since']"));

	ASSERT_EQ(0, importer_map_all(self->old));
	ASSERT_EQ(0, importer_unmap(self->importer));
	EXPECT_TRUE(LISTED("b['maps'] == 2",
			   "v['dma-buf-test-importer']['dma']['maps'] == 0",
			   "v['dma-buf']['sgt']['maps'] == 1"));

	ASSERT_EQ(0, vfio_set_memory(&self->scene.exporter, false));
	EXPECT_TRUE(LISTED("b['state'] == 'suspended'",
			   "b['reasons'] == ['decode'] and b['maps'] == 0",
			   "v['iommufd']['domain']['maps'] == 0",
			   "v['iommufd']['domain']['dead'] == 1",
			   "b['nr_ranges'] == 2 and b['changed'] > b['since']",
			   "b['state_age'] < b['age']"));

	ASSERT_EQ(0, vfio_set_memory(&self->scene.exporter, true));
	EXPECT_TRUE(LISTED("b['state'] == 'live' and b['reasons'] == []",
			   "v['iommufd']['domain']['maps'] == 1",
			   "v['iommufd']['domain']['dead'] == 0"));

	scene_close_exporter(&self->scene);
	EXPECT_TRUE(LISTED("b['state'] == 'revoked' and b['maps'] == 0",
			   "b['ranges'] == [] and 'device' not in b",
			   "len(i) == 3", self->holder));
}

/* Many ranges are counted, the first are shown. */
TEST_F_TIMEOUT(tool, list_of_many_ranges, LIMIT)
{
	struct vfio_region_dma_range many[NR_MANY];
	int fd, i;

	for (i = 0; i < NR_MANY; i++)
		many[i] = (struct vfio_region_dma_range){
			.offset = 2 * i * PAGE, .length = PAGE,
		};
	fd = scene_export(&self->scene, (struct layout){ many, NR_MANY });
	/* The order of buffers is nobody's promise. */
	EXPECT_TRUE(LISTED("sorted(b['nr_ranges'] for b in all)[1:] == [40]",
			   "max(len(b['ranges']) for b in all) == 32",
			   "62 * 4096 in [b['ranges'][-1]['offset'] for b in all]"));
	EXPECT_EQ(0, system("/needs/dma-buf-phys list | grep -q 'and 8 ranges more'"));
	close(fd);
}

/* Start to follow; it does when it says so. */
static pid_t follow(void)
{
	int said[2];
	pid_t pid;
	char c;

	if (pipe(said))
		die("pipe: %s", strerror(errno));
	pid = fork();
	if (!pid) {
		dup2(open(EVENTS, O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
		dup2(said[1], 2);
		execl("/needs/dma-buf-phys", "dma-buf-phys", "events", "--json",
		      NULL);
		_exit(127);
	}
	close(said[1]);
	while (read(said[0], &c, 1) == 1 && c != '\n')
		;
	close(said[0]);
	return pid;
}

/* The names of the events, without those of other importers. */
static const char *events(const char *importer)
{
	static char names[4096];
	char command[512];
	FILE *pipe;
	size_t len;

	snprintf(command, sizeof(command),
		 "python3 -c \"import json\nl = [json.loads(x) for x in open('"
		 EVENTS "')]\nassert l == sorted(l, key=lambda x: x['time'])\n"
		 "print(*[x['event'] for x in l if x.get('importer', '%s') == '%s'])\"",
		 importer, importer);
	pipe = popen(command, "r");
	len = pipe ? fread(names, 1, sizeof(names) - 1, pipe) : 0;
	names[len] = 0;
	names[strcspn(names, "\n")] = 0;
	if (!pipe || pclose(pipe))
		return "python failed";
	return names;
}

TEST_F_TIMEOUT(tool, events_of_a_life, LIMIT)
{
	int status, fd;
	pid_t pid;

	pid = follow();
	fd = scene_export(&self->scene, layout);
	ASSERT_EQ(0, importer_attach(self->importer, fd, DBT_ATTACH_CLASS, 0));
	ASSERT_EQ(0, importer_map_all(self->importer));
	close(self->dmabuf);
	self->dmabuf = -1;
	ASSERT_EQ(0, vfio_set_memory(&self->scene.exporter, false));
	ASSERT_EQ(0, vfio_set_memory(&self->scene.exporter, true));
	ASSERT_EQ(0, importer_map_all(self->importer));
	ASSERT_EQ(-EOPNOTSUPP, importer_attach(self->old, fd,
					       DBT_ATTACH_NO_PEER2PEER, 0));
	ASSERT_EQ(0, scene_map_at(&self->scene, fd, layout, IOVA));
	scene_close_exporter(&self->scene);
	ASSERT_EQ(0, importer_detach(self->importer));
	close(fd);
	close(self->scene.iommufd);
	self->scene.iommufd = -1;
	edu_close(&self->scene.edu);
	usleep(500000);

	EXPECT_EQ(0, kill(pid, SIGINT));
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_STREQ(life_dma, events("dma-buf-test-importer"));
	EXPECT_STREQ(life_domain, events("iommufd"));
	EXPECT_NE(0, system("ls /sys/kernel/tracing/instances | grep -q ."));
}

TEST_HARNESS_MAIN
