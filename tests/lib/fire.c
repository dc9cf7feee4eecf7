// SPDX-License-Identifier: GPL-2.0-only
/*
 * A disk that never stops writing. See fire.h.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bar.h"
#include "fire.h"
#include "iommufd.h"
#include "report.h"

#define LAY_IOVA	0x4000000ULL
#define LAY_SIZE	0x80000		/* bytes of the disk that are used */
#define PIECES		(LAY_SIZE / FIRE_LEN)
#define PAUSE_US	50
#define TIME_LIMIT	20000		/* ms */
#define SMMU_EVENTS	"arm-smmu-v3-evtq"
#define STAT_PATH	280

static __u8 laid[LAY_SIZE];		/* what is on the disk */

int fire_lay(struct nvme *nvme, __u32 ioas)
{
	void *data = mmap(NULL, LAY_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	__u64 iova = LAY_IOVA, unmapped;
	int err;

	if (data == MAP_FAILED)
		return -errno;
	pattern(laid, LAY_SIZE, 0xf12e);
	memcpy(data, laid, LAY_SIZE);
	err = ioas_map(nvme->iommufd, ioas, data, LAY_SIZE, &iova,
		       MAP_RW | IOMMU_IOAS_MAP_FIXED_IOVA);
	if (!err) {
		err = nvme_move(nvme, true, 0, iova, LAY_SIZE);
		ioas_unmap(nvme->iommufd, ioas, iova, LAY_SIZE, &unmapped);
	}
	munmap(data, LAY_SIZE);
	return err;
}

/* "41 (irq/17-arm-smmu-v3-evtq) S 2 0 ...": points at the state, or NULL */
static const char *event_thread(const char *stat)
{
	const char *end = strstr(stat, SMMU_EVENTS ") ");

	return end ? end + strlen(SMMU_EVENTS ") ") : NULL;
}

static bool read_stat(const char *path, char *stat, size_t size)
{
	FILE *file = fopen(path, "r");
	bool ok = file && fgets(stat, size, file);

	if (file)
		fclose(file);
	return ok;
}

/* Of the thread by which arm-smmu-v3 reads events; empty: there is none. */
static char event_stat[STAT_PATH];
static pthread_once_t event_once = PTHREAD_ONCE_INIT;

static void find_event_thread(void)
{
	char path[STAT_PATH], stat[256];
	struct dirent *entry;
	DIR *dir = opendir("/proc");

	while (dir && !event_stat[0] && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		if (isdigit(entry->d_name[0]) &&
		    read_stat(path, stat, sizeof(stat)) && event_thread(stat))
			memcpy(event_stat, path, sizeof(path));
	}
	if (dir)
		closedir(dir);
}

/* The thread is there, and not asleep. */
static bool events_are_read(void)
{
	const char *state;
	char stat[256];

	pthread_once(&event_once, find_event_thread);
	if (!event_stat[0] || !read_stat(event_stat, stat, sizeof(stat)))
		return false;
	state = event_thread(stat);
	return state && *state != 'S';
}

/* Each time another piece of the disk, and no two slots the same. */
static size_t source(__u64 turn, unsigned int slot)
{
	return (turn * FIRE_SLOTS + slot) % PIECES * FIRE_LEN;
}

static int begin(struct fire *fire, unsigned int slot)
{
	return nvme_start(fire->nvme, slot, false,
			  source(fire->turns[slot], slot) / NVME_BLOCK,
			  fire->iova + slot * FIRE_LEN, FIRE_LEN);
}

const __u8 *fire_data(const struct fire_moment *moment, unsigned int slot)
{
	return laid + source(moment->turns[slot], slot);
}

/*
 * Were the next command begun while the faults of the last are read, the queue of
 * events would run over, and QEMU, busy with faults, hold up whatever the guest does.
 */
static void pace(void)
{
	while (events_are_read())
		usleep(PAUSE_US);
}

/* One command is done, or time has passed. Returns commands less, or -errno. */
static int one_turn(struct fire *fire)
{
	__u16 status;
	int slot = nvme_poll(fire->nvme, &status);

	if (slot < 0) {
		usleep(PAUSE_US);
		return 0;
	}
	if (status)
		printf("# the disk reports status 0x%x\n", status);
	__atomic_fetch_add(&fire->turns[slot], 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&fire->stop, __ATOMIC_SEQ_CST))
		return 1;
	pace();
	return status ? -EIO : begin(fire, slot);
}

static void *burn(void *arg)
{
	struct fire *fire = arg;
	unsigned int slot, in_flight = 0;
	int ret = 0;

	for (slot = 0; !ret && slot < FIRE_SLOTS; slot++) {
		ret = begin(fire, slot);
		in_flight += !ret;
	}
	while (ret >= 0 && in_flight) {
		ret = one_turn(fire);
		if (ret > 0)
			in_flight -= ret;
	}
	if (ret < 0)
		__atomic_store_n(&fire->err, ret, __ATOMIC_SEQ_CST);
	return NULL;
}

int fire_start(struct fire *fire, struct nvme *nvme, __u64 iova)
{
	int err;

	*fire = (struct fire){ .nvme = nvme, .iova = iova };
	err = pthread_create(&fire->thread, NULL, burn, fire);
	fire->burns = !err;
	return -err;
}

int fire_stop(struct fire *fire)
{
	if (!fire->burns)
		return 0;
	__atomic_store_n(&fire->stop, true, __ATOMIC_SEQ_CST);
	pthread_join(fire->thread, NULL);
	fire->burns = false;
	return fire->err;
}

struct fire_moment fire_now(const struct fire *fire)
{
	struct fire_moment moment;
	unsigned int slot;

	for (slot = 0; slot < FIRE_SLOTS; slot++)
		moment.turns[slot] = __atomic_load_n(&fire->turns[slot],
						     __ATOMIC_SEQ_CST);
	return moment;
}

/* The command in flight at @moment is the first to be done after it. */
bool fire_reached(const struct fire *fire, const struct fire_moment *moment,
		  __u64 more)
{
	const struct fire_moment now = fire_now(fire);
	unsigned int slot;

	for (slot = 0; slot < FIRE_SLOTS; slot++)
		if (now.turns[slot] < moment->turns[slot] + 1 + more)
			return false;
	return true;
}

int fire_wait(const struct fire *fire, const struct fire_moment *moment,
	      __u64 more)
{
	const __u64 limit = now_ms() + TIME_LIMIT;
	int err;

	while (!fire_reached(fire, moment, more)) {
		err = __atomic_load_n(&fire->err, __ATOMIC_SEQ_CST);
		if (err || now_ms() > limit) {
			printf("# the disk has stopped: %s\n", strerror(-err));
			return err ? err : -ETIME;
		}
		usleep(PAUSE_US);
	}
	return 0;
}

__u64 fire_count(const struct fire *fire)
{
	const struct fire_moment now = fire_now(fire);
	__u64 count = 0;
	unsigned int slot;

	for (slot = 0; slot < FIRE_SLOTS; slot++)
		count += now.turns[slot];
	return count;
}

/* "25:   0   3  DMAR-MSI  0-edge  dmar0": one column per CPU */
static __u64 sum_columns(const char *line)
{
	const char *at = strchr(line, ':') + 1;
	__u64 sum = 0, one;
	char *end;

	while (one = strtoull(at, &end, 10), end != at && *end == ' ') {
		sum += one;
		at = end;
	}
	return sum;
}

__u64 iommu_fault_count(void)
{
	FILE *file = fopen("/proc/interrupts", "r");
	bool found = false;
	char line[512];
	__u64 sum = 0;

	while (file && fgets(line, sizeof(line), file)) {
		if (!strstr(line, " dmar") && !strstr(line, SMMU_EVENTS))
			continue;
		found = true;
		sum += sum_columns(line);
	}
	if (file)
		fclose(file);
	if (!found)
		die("/proc/interrupts has no interrupt for faults of the IOMMU");
	return sum;
}

__u64 iommu_faults_settled(void)
{
	const __u64 limit = now_ms() + TIME_LIMIT;

	while (events_are_read()) {
		if (now_ms() > limit)
			die("there is no end to the faults of the IOMMU");
		usleep(1000);
	}
	return iommu_fault_count();
}
