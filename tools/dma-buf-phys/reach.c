// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys reach: can DMA of one PCI device reach a BAR of another
 *
 * The rules are the kernel's (drivers/pci/p2pdma.c). Requests of A go up from
 * bridge to bridge. If one of them is above B, too, that one routes them down to
 * B by the address on the bus, unless a port on the way has the ACS bits set that
 * redirect requests or completions upstream. Everything else passes through the
 * host bridge. Which of those carry requests from one device to another is a list
 * in the kernel; only of AMD's processors since Zen it takes all. So the kernel
 * is asked, and if it does not answer, so is ours: unknown.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pci/pci.h>

#include "dma-buf-phys.h"

static const char help[] =
"usage: dma-buf-phys reach A B [--json]\n"
"\n"
"Tells whether DMA of the PCI device A can reach a BAR of the PCI device B: by\n"
"bus address below a common bridge, through the host bridge, or not at all; and\n"
"which bridges are on the way, and which ACS bits are in it. Devices are given\n"
"as lspci shows them, 01:00.0 or 0000:01:00.0.\n"
"\n"
"  --json  as one JSON object; README says what is in it\n"
"\n"
"Exit status: 0 it can, 1 it cannot, 2 it was not found out because of an error,\n"
"3 only the kernel knows, and it does not offer to say.\n";

#define MAX_DEPTH	64
#define NAME_LEN	32

/* A device and the bridges above it. */
struct chain {
	struct pci_dev *dev[MAX_DEPTH];
	size_t nr;
};

/* What the kernel answers. */
enum verdict {
	KERNEL_SILENT,
	KERNEL_NO,
	KERNEL_YES,
};

static const struct {
	unsigned int bit;
	const char *name;	/* as lspci has it */
} redirects[] = {
	{ PCI_ACS_CTRL_REQ_RED, "ReqRedir" },
	{ PCI_ACS_CTRL_CMPLT_RED, "CmpltRedir" },
	{ PCI_ACS_CTRL_EGRESS, "EgressCtrl" },
};

static noreturn void pci_failed(char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	die("PCI devices cannot be read: %s", text);
}

static void pci_warns(char *fmt, ...)
{
	(void)fmt;
}

static const char *dev_name(struct pci_dev *dev, char name[NAME_LEN])
{
	snprintf(name, NAME_LEN, "%04x:%02x:%02x.%x", dev->domain,
		 dev->bus, dev->dev, dev->func);
	return name;
}

static json_t *name_value(struct pci_dev *dev)
{
	char name[NAME_LEN];

	return json_string(dev_name(dev, name));
}

/* A number of up to @digits hexadecimal digits, and what has to follow it. */
static bool hex(const char **text, size_t digits, char follows,
		unsigned int *value)
{
	size_t len = strspn(*text, "0123456789abcdefABCDEF");

	if (!len || len > digits || (*text)[len] != follows)
		return false;
	*value = strtoul(*text, NULL, 16);
	*text += len + !!follows;
	return true;
}

static struct pci_dev *find(struct pci_access *pci, const char *name)
{
	unsigned int domain = 0, bus, slot, func;
	const char *text = name;
	struct pci_dev *dev;

	if (strchr(name, ':') != strrchr(name, ':') &&
	    !hex(&text, 8, ':', &domain))
		text = "";
	if (!hex(&text, 2, ':', &bus) || !hex(&text, 2, '.', &slot) ||
	    !hex(&text, 1, 0, &func))
		die("'%s' is not the address of a PCI device, such as 0000:01:00.0",
		    name);
	for (dev = pci->devices; dev; dev = dev->next)
		if (dev->domain == domain && dev->bus == bus &&
		    dev->dev == slot && dev->func == func)
			return dev;
	die("there is no PCI device %s", name);
}

static struct chain chain_of(struct pci_dev *dev)
{
	struct chain chain = {};

	for (; dev && chain.nr < MAX_DEPTH; dev = dev->parent) {
		pci_fill_info(dev, PCI_FILL_IDENT | PCI_FILL_CLASS |
				   PCI_FILL_PARENT | PCI_FILL_CAPS |
				   PCI_FILL_EXT_CAPS);
		chain.dev[chain.nr++] = dev;
	}
	return chain;
}

/* The ACS bits that send requests or completions upstream. */
static unsigned int redirect_bits(struct pci_dev *dev)
{
	struct pci_cap *acs = pci_find_cap(dev, PCI_EXT_CAP_ID_ACS,
					   PCI_CAP_EXTENDED);

	if (!acs)
		return 0;
	return pci_read_word(dev, acs->addr + PCI_ACS_CTRL) &
	       (PCI_ACS_CTRL_REQ_RED | PCI_ACS_CTRL_CMPLT_RED |
		PCI_ACS_CTRL_EGRESS);
}

static void add_redirect(json_t *acs, struct pci_dev *dev)
{
	unsigned int bits = redirect_bits(dev);
	json_t *names = json_array();
	size_t i;

	for (i = 0; i < sizeof(redirects) / sizeof(*redirects); i++)
		if (bits & redirects[i].bit)
			json_array_append_new(names,
					      json_string(redirects[i].name));
	if (bits)
		json_array_append_new(acs, json_pack("{s:o, s:O}", "device",
						     name_value(dev), "bits",
						     names));
	json_decref(names);
}

/* Place of @dev in @chain, or their number if it is not there. */
static size_t place(const struct chain *chain, struct pci_dev *dev)
{
	size_t i;

	for (i = 0; i < chain->nr && chain->dev[i] != dev; i++)
		;
	return i;
}

/*
 * Where the two ways up meet: the number of devices of each below that point.
 * False: they do not, before the host bridge.
 */
static bool meet(const struct chain *a, const struct chain *b, size_t *below_a,
		 size_t *below_b)
{
	for (*below_b = 0; *below_b < b->nr; (*below_b)++) {
		*below_a = place(a, b->dev[*below_b]);
		if (*below_a < a->nr)
			return true;
	}
	*below_a = a->nr;
	return false;
}

/* The device that stands for a host bridge in the kernel's list. */
static json_t *host_bridge(struct pci_access *pci, const struct chain *chain)
{
	struct pci_dev *top = chain->dev[chain->nr - 1], *dev, *first = NULL;
	char id[16];

	for (dev = pci->devices; dev; dev = dev->next) {
		if (dev->domain != top->domain || dev->bus != top->bus)
			continue;
		if (!first || dev->dev < first->dev ||
		    (dev->dev == first->dev && dev->func < first->func))
			first = dev;
	}
	pci_fill_info(first, PCI_FILL_IDENT);
	snprintf(id, sizeof(id), "%04x:%04x", first->vendor_id,
		 first->device_id);
	return json_pack("{s:o, s:s}", "device", name_value(first), "id", id);
}

/* Sizes of the memory BARs, without the windows of bridges. */
static json_t *memory_bars(struct pci_dev *dev)
{
	json_t *bars = json_array();
	size_t i;

	pci_fill_info(dev, PCI_FILL_BASES | PCI_FILL_SIZES);
	for (i = 0; i < 6; i++)
		if (dev->size[i] && !(dev->base_addr[i] & PCI_BASE_ADDRESS_SPACE))
			json_array_append_new(bars, json_pack("{s:i, s:I}", "bar",
							      (int)i, "size",
							      (json_int_t)dev->size[i]));
	return bars;
}

/* How the DMA API translates for a device. */
static json_t *iommu_of(struct pci_dev *dev)
{
	char name[NAME_LEN], path[PATH_MAX], type[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group/type",
		 dev_name(dev, name));
	file = fopen(path, "r");
	if (file && fgets(type, sizeof(type), file))
		type[strcspn(type, "\n")] = 0;
	if (file)
		fclose(file);
	if (!strncmp(type, "DMA", 3))
		return json_string("translated");
	if (!strcmp(type, "identity"))
		return json_string("identity");
	return json_string(*type ? "unknown" : "none");
}

/* Processors of which the kernel takes every host bridge. */
static bool zen(void)
{
	bool amd = false, family = false;
	unsigned int number;
	char line[512];
	FILE *file = fopen("/proc/cpuinfo", "r");

	while (file && fgets(line, sizeof(line), file) && *line != '\n') {
		amd |= !strncmp(line, "vendor_id", 9) &&
		       strstr(line, "AuthenticAMD");
		family |= sscanf(line, "cpu family : %u", &number) == 1 &&
			  number >= 0x17;
	}
	if (file)
		fclose(file);
	return amd && family;
}

static enum verdict ask_kernel(struct pci_dev *a, struct pci_dev *b,
			       int *distance)
{
	char *path = debugfs_path(REACH_FILE);
	char from[NAME_LEN], to[NAME_LEN], text[64];
	enum verdict verdict = KERNEL_SILENT;
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	ssize_t len;

	free(path);
	if (fd < 0)
		return verdict;
	len = snprintf(text, sizeof(text), "%s %s", dev_name(a, from),
		       dev_name(b, to));
	if (write(fd, text, len) == len) {
		len = read(fd, text, sizeof(text) - 1);
		text[len > 0 ? len : 0] = 0;
		if (sscanf(text, "distance %d", distance) == 1)
			verdict = KERNEL_YES;
		else if (!strcmp(text, "none\n"))
			verdict = KERNEL_NO;
	}
	close(fd);
	return verdict;
}

/* The answer, from what was found. */
static const char *path_of(bool by_bus, enum verdict verdict, bool any_bar)
{
	if (!any_bar || verdict == KERNEL_NO)
		return "none";
	if (by_bus)
		return "bus";
	if (verdict == KERNEL_YES || zen())
		return "host-bridge";
	return "unknown";
}

static json_t *examine(struct pci_access *pci, struct pci_dev *a,
		       struct pci_dev *b)
{
	struct chain up = chain_of(a), down = chain_of(b);
	json_t *acs = json_array(), *way = json_array(), *bars;
	size_t below_a, below_b, i;
	enum verdict verdict;
	json_t *answer;
	bool met, bus;
	int distance;

	met = meet(&up, &down, &below_a, &below_b);
	for (i = 0; i < below_a; i++) {
		add_redirect(acs, up.dev[i]);
		json_array_append_new(way, name_value(up.dev[i]));
	}
	if (met) {
		add_redirect(acs, up.dev[below_a]);
		json_array_append_new(way, name_value(up.dev[below_a]));
	}
	for (i = below_b; i-- > 0;) {
		add_redirect(acs, down.dev[i]);
		json_array_append_new(way, name_value(down.dev[i]));
	}
	/* Where everything goes up anyway, nothing is redirected. */
	if (!met)
		json_array_clear(acs);
	bus = met && !json_array_size(acs);
	bars = memory_bars(b);
	verdict = ask_kernel(a, b, &distance);

	answer = json_pack("{s:o, s:o, s:s, s:b, s:i, s:o, s:o, s:o, s:o, s:o}",
			   "from", name_value(a), "to", name_value(b), "path",
			   path_of(bus, verdict, json_array_size(bars)),
			   "common_bridge", met, "distance",
			   (int)(below_a + below_b), "way", way, "acs", acs,
			   "bars", bars, "iommu", iommu_of(a), "kernel",
			   verdict == KERNEL_SILENT ? json_null() :
			   json_boolean(verdict == KERNEL_YES));
	if (!bus)
		json_object_set_new(answer, "host_bridges",
				    json_pack("[o, o]", host_bridge(pci, &up),
					      host_bridge(pci, &down)));
	return answer;
}

/*
 * Printing
 */

static const char *text(json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void print_answer(json_t *answer)
{
	const char *path = text(answer, "path");

	printf("%s ", text(answer, "from"));
	if (!strcmp(path, "bus"))
		printf("reaches the BARs of %s by bus address, below a common bridge\n",
		       text(answer, "to"));
	else if (!strcmp(path, "host-bridge"))
		printf("reaches the BARs of %s through the host bridge\n",
		       text(answer, "to"));
	else if (!strcmp(path, "none"))
		printf("cannot reach a BAR of %s\n", text(answer, "to"));
	else
		printf("may reach the BARs of %s or not: only the kernel knows\n",
		       text(answer, "to"));
}

static void print_acs(json_t *answer)
{
	json_t *entry, *bit;
	size_t i, j;

	json_array_foreach(json_object_get(answer, "acs"), i, entry) {
		printf("  ACS sends requests upstream at %s:",
		       text(entry, "device"));
		json_array_foreach(json_object_get(entry, "bits"), j, bit)
			printf(" %s", json_string_value(bit));
		putchar('\n');
	}
	if (i) {
		printf("  without that it went by bus address: boot with pci=disable_acs_redir=");
		json_array_foreach(json_object_get(answer, "acs"), i, entry)
			printf("%s%s", i ? ";" : "", text(entry, "device"));
		putchar('\n');
	}
}

static void print_why(json_t *answer)
{
	json_t *entry, *bridges = json_object_get(answer, "host_bridges");
	json_t *kernel = json_object_get(answer, "kernel");
	bool common = json_is_true(json_object_get(answer, "common_bridge"));
	size_t i;

	printf("  way:");
	json_array_foreach(json_object_get(answer, "way"), i, entry)
		printf(" %s", json_string_value(entry));
	putchar('\n');
	if (!common)
		puts("  no bridge is above both, so it has to pass through the host bridge");
	print_acs(answer);
	json_array_foreach(bridges, i, entry) {
		if (i && json_equal(entry, json_array_get(bridges, 0)))
			continue;
		printf("  host bridge %s, %s", text(entry, "device"),
		       text(entry, "id"));
		if (json_is_true(kernel))
			puts(": the kernel knows it to carry such requests");
		else if (json_is_false(kernel))
			puts(": the kernel does not know it to carry such requests");
		else
			puts(": the kernel was not asked, debugfs has no " REACH_FILE);
	}
	if (!json_array_size(json_object_get(answer, "bars")))
		printf("  %s has no memory BAR\n", text(answer, "to"));
}

static int status_of(json_t *answer)
{
	const char *path = text(answer, "path");

	if (!strcmp(path, "none"))
		return STATUS_NO;
	return strcmp(path, "unknown") ? STATUS_OK : STATUS_UNKNOWN;
}

int cmd_reach(int argc, char **argv)
{
	struct pci_dev *a, *b;
	struct pci_access *pci;
	bool json = false;
	json_t *answer;
	int status;

	if (options(argc, argv, help, &json) != 2)
		die("reach takes two PCI devices; see dma-buf-phys reach --help");
	need_root("only root may read the ACS bits in PCI configuration space");

	pci = pci_alloc();
	pci->error = (typeof(pci->error))pci_failed;
	pci->warning = pci_warns;
	pci_init(pci);
	pci_scan_bus(pci);
	a = find(pci, argv[0]);
	b = find(pci, argv[1]);
	answer = examine(pci, a, b);
	if (json) {
		print_json(answer, JSON_INDENT(2));
	} else {
		print_answer(answer);
		print_why(answer);
	}
	status = status_of(answer);
	json_decref(answer);
	pci_cleanup(pci);
	return status;
}
