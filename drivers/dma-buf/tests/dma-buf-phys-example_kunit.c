// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma-buf-phys KUnit: an example exporter and two example importers
 *
 *   foo  the driver of a PCI device, which exports its BAR
 *   bar  the driver of a device that reaches the BAR by DMA
 *   baz  a part of the kernel that reads and writes the BAR by the CPU
 *
 * Documentation/driver-api/dma-buf-phys.rst quotes them. Here foo's device is an
 * ivshmem and bar's an edu, both of which QEMU emulates. The suite registers both
 * drivers while it runs, so these devices have to be bound to nothing.
 */
#include <kunit/test.h>
#include <linux/dma-buf-phys.h>
#include <linux/dma-resv.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "dma-buf-test-edu.h"

#define FOO_BAR		2

/*
 * foo, the exporter
 */

struct foo {
	struct pci_dev *pdev;		/* immutable */
	struct mutex lock;
	struct dma_buf *dmabuf;		/* under @lock; NULL: not shared */
	unsigned long suspended;	/* under @lock: why the BAR is away */
};

/* Lives as long as the dma-buf, perhaps longer than foo. */
struct foo_buf {
	struct dma_buf_phys phys;	/* dma_buf::priv points here */
	struct phys_vec vec;
	struct p2pdma_provider *provider;
};

static int foo_get_ranges(struct dma_buf *dmabuf,
			  struct dma_buf_phys_ranges *ranges)
{
	struct foo_buf *buf = container_of(dmabuf->priv, struct foo_buf, phys);

	*ranges = (struct dma_buf_phys_ranges) {
		.vec = &buf->vec,
		.nr = 1,
		.provider = buf->provider,
		.kind = DMA_BUF_PHYS_MMIO,
	};
	return 0;
}

static void foo_release(struct dma_buf *dmabuf)
{
	struct foo_buf *buf = container_of(dmabuf->priv, struct foo_buf, phys);

	dma_buf_phys_fini(&buf->phys);
	kfree(buf);
}

static const struct dma_buf_phys_ops foo_ops = {
	.ops = {
		.attach = dma_buf_phys_attach,
		.detach = dma_buf_phys_detach,
		.map_dma_buf = dma_buf_phys_map_dma_buf,
		.unmap_dma_buf = dma_buf_phys_unmap_dma_buf,
		.release = foo_release,
	},
	.may_revoke = true,
	.get_ranges = foo_get_ranges,
};

/* foo::lock is held */
static struct dma_buf *foo_export(struct foo *foo)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;
	struct foo_buf *buf;

	buf = kzalloc_obj(*buf);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	buf->vec.paddr = pci_resource_start(foo->pdev, FOO_BAR);
	buf->vec.len = pci_resource_len(foo->pdev, FOO_BAR);
	buf->provider = pcim_p2pdma_provider(foo->pdev, FOO_BAR);

	dma_buf_phys_init(&buf->phys, foo->suspended);
	info.ops = &foo_ops.ops;
	info.size = buf->vec.len;
	info.flags = O_RDWR;
	info.priv = &buf->phys;
	dmabuf = dma_buf_phys_export(&info);
	if (IS_ERR(dmabuf))
		kfree(buf);
	return dmabuf;
}

/*
 * For an ioctl of foo's, which makes a file descriptor of it. foo has a reference
 * of its own until it takes the memory back. That keeps the module, so it ends
 * when who asked closes foo.
 */
static struct dma_buf *foo_share(struct foo *foo)
{
	struct dma_buf *dmabuf;

	guard(mutex)(&foo->lock);
	if (foo->dmabuf)
		return ERR_PTR(-EBUSY);
	dmabuf = foo_export(foo);
	if (IS_ERR(dmabuf))
		return dmabuf;
	foo->dmabuf = dmabuf;
	get_dma_buf(dmabuf);
	return dmabuf;
}

/* Once this returns, no importer reaches the BAR, nor ever will by this buffer. */
static void foo_unshare(struct foo *foo)
{
	guard(mutex)(&foo->lock);
	if (!foo->dmabuf)
		return;
	dma_buf_phys_revoke(foo->dmabuf);
	dma_buf_put(foo->dmabuf);
	foo->dmabuf = NULL;
}

/* Once this returns, no importer reaches the BAR until foo_reset_done(). */
static void foo_reset_prepare(struct pci_dev *pdev)
{
	struct foo *foo = pci_get_drvdata(pdev);

	guard(mutex)(&foo->lock);
	foo->suspended = DMA_BUF_PHYS_RESET;
	if (foo->dmabuf)
		dma_buf_phys_suspend(foo->dmabuf, DMA_BUF_PHYS_RESET);
}

static void foo_reset_done(struct pci_dev *pdev)
{
	struct foo *foo = pci_get_drvdata(pdev);

	guard(mutex)(&foo->lock);
	foo->suspended = 0;
	if (foo->dmabuf)
		dma_buf_phys_restore(foo->dmabuf, DMA_BUF_PHYS_RESET);
}

static void foo_remove(struct pci_dev *pdev)
{
	foo_unshare(pci_get_drvdata(pdev));
}

static const struct pci_error_handlers foo_err_handlers = {
	.reset_prepare = foo_reset_prepare,
	.reset_done = foo_reset_done,
};

static int foo_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct foo *foo;
	int ret;

	foo = devm_kzalloc(&pdev->dev, sizeof(*foo), GFP_KERNEL);
	if (!foo)
		return -ENOMEM;
	foo->pdev = pdev;
	ret = devm_mutex_init(&pdev->dev, &foo->lock);
	if (ret)
		return ret;
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = pcim_p2pdma_init(pdev);
	if (ret)
		return ret;
	pci_set_drvdata(pdev, foo);
	return 0;
}

/*
 * The device of bar: it writes what is in its buffer to a queue of pieces
 */

#define ENGINE_QUEUE	2

struct engine {
	struct dbt_edu edu;
	struct {
		dma_addr_t addr;
		size_t len;
	} queue[ENGINE_QUEUE];		/* under resv */
	unsigned int nr;		/* same: how many there are */
};

static void engine_add(struct engine *engine, dma_addr_t addr, u64 len)
{
	if (WARN_ON(engine->nr == ENGINE_QUEUE))
		return;
	engine->queue[engine->nr].addr = addr;
	engine->queue[engine->nr].len = len;
	engine->nr++;
}

/* The last piece is still to be moved when this returns. */
static int engine_start(struct engine *engine)
{
	struct dbt_edu *edu = &engine->edu;
	unsigned int i;
	size_t pos = 0;
	int ret;

	guard(mutex)(&edu->lock);
	for (i = 0; i < engine->nr; i++) {
		ret = dbt_edu_wait_idle(edu);
		if (ret)
			return ret;
		dbt_edu_start_move(edu, engine->queue[i].addr, pos,
				   engine->queue[i].len, true);
		pos += engine->queue[i].len;
	}
	return 0;
}

static void engine_stop(struct engine *engine)
{
	WARN_ON(dbt_edu_wait_idle(&engine->edu));
	engine->nr = 0;
}

/*
 * bar, an importer with a DMA view, pinned
 */

struct bar {
	struct dma_buf_phys_attachment *attach;
	struct dma_buf_phys_dma_map map;
	bool mapped;			/* under resv */
	struct engine engine;
};

/* resv is held */
static void bar_unmap(struct bar *bar)
{
	if (!bar->mapped)
		return;
	engine_stop(&bar->engine);	/* returns when the device is idle */
	dma_buf_phys_unmap_dma(bar->attach, &bar->map);
	bar->mapped = false;
}

static void bar_invalidate(struct dma_buf_phys_attachment *attach)
{
	bar_unmap(attach->priv);
}

static const struct dma_buf_phys_importer_ops bar_importer = {
	.name = "bar",
	.invalidate = bar_invalidate,
};

static int bar_map(struct bar *bar, u64 offset, u64 len)
{
	struct dma_buf *dmabuf = bar->attach->dmabuf;
	struct dma_buf_phys_dma_iter iter;
	int ret;

	dma_resv_lock(dmabuf->resv, NULL);
	bar_unmap(bar);
	ret = dma_buf_phys_map_dma(bar->attach, &bar->map, offset, len,
				   DMA_BIDIRECTIONAL);
	if (!ret) {
		bar->mapped = true;
		dma_buf_phys_dma_iter_start(&iter, &bar->map);
		while (dma_buf_phys_dma_iter_next(&iter))
			engine_add(&bar->engine, iter.addr, iter.len);
	}
	dma_resv_unlock(dmabuf->resv);
	return ret;
}

/* -ENODEV: bar was told to stop, and has to map again. */
static int bar_submit(struct bar *bar)
{
	struct dma_resv *resv = bar->attach->dmabuf->resv;
	int ret;

	dma_resv_lock(resv, NULL);
	ret = bar->mapped ? engine_start(&bar->engine) : -ENODEV;
	dma_resv_unlock(resv);
	return ret;
}

static int bar_attach(struct bar *bar, struct dma_buf *dmabuf,
		      struct device *dev)
{
	int ret;

	bar->attach = dma_buf_phys_importer_attach(dmabuf, dev,
						   DMA_BUF_PHYS_VIEW_DMA,
						   &bar_importer, bar);
	if (IS_ERR(bar->attach))
		return PTR_ERR(bar->attach);

	dma_resv_lock(dmabuf->resv, NULL);
	ret = dma_buf_phys_pin(bar->attach);
	dma_resv_unlock(dmabuf->resv);
	if (ret)
		dma_buf_phys_importer_detach(bar->attach);
	return ret;
}

static void bar_detach(struct bar *bar)
{
	struct dma_buf *dmabuf = bar->attach->dmabuf;

	dma_resv_lock(dmabuf->resv, NULL);
	bar_unmap(bar);
	dma_buf_phys_unpin(bar->attach);
	dma_resv_unlock(dmabuf->resv);
	dma_buf_phys_importer_detach(bar->attach);
}

/* Unlike the other drivers of this device, bar takes its lock inside of resv. */
static struct lock_class_key engine_key;

static int bar_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct bar *bar;
	int ret;

	bar = devm_kzalloc(&pdev->dev, sizeof(*bar), GFP_KERNEL);
	if (!bar)
		return -ENOMEM;
	ret = dbt_edu_init(&bar->engine.edu, pdev);
	if (ret)
		return ret;
	lockdep_set_class(&bar->engine.edu.lock, &engine_key);
	pci_set_drvdata(pdev, bar);
	return 0;
}

/*
 * baz, an importer with a CPU view
 */

struct baz {
	struct dma_buf_phys_attachment *attach;
	struct dma_buf_phys_cpu_map map;
};

static const struct dma_buf_phys_importer_ops baz_importer = {
	.name = "baz",
};

static int baz_attach(struct baz *baz, struct dma_buf *dmabuf,
		      struct device *dev, u64 offset, u64 len)
{
	int ret;

	baz->attach = dma_buf_phys_importer_attach(dmabuf, dev,
						   DMA_BUF_PHYS_VIEW_CPU,
						   &baz_importer, baz);
	if (IS_ERR(baz->attach))
		return PTR_ERR(baz->attach);

	dma_resv_lock(dmabuf->resv, NULL);
	ret = dma_buf_phys_map_cpu(baz->attach, &baz->map, offset, len);
	dma_resv_unlock(dmabuf->resv);
	if (ret)
		dma_buf_phys_importer_detach(baz->attach);
	return ret;
}

static void baz_detach(struct baz *baz)
{
	struct dma_resv *resv = baz->attach->dmabuf->resv;

	dma_resv_lock(resv, NULL);
	dma_buf_phys_unmap_cpu(&baz->map);
	dma_resv_unlock(resv);
	dma_buf_phys_importer_detach(baz->attach);
}

static int baz_remap(struct baz *baz)
{
	struct dma_resv *resv = baz->attach->dmabuf->resv;
	int ret;

	ret = dma_resv_lock_interruptible(resv, NULL);
	if (ret)
		return ret;
	ret = dma_buf_phys_remap_cpu(&baz->map);
	dma_resv_unlock(resv);
	return ret;
}

static int baz_read(struct baz *baz, u64 offset, void *dst, size_t len)
{
	int ret;

	while ((ret = dma_buf_phys_cpu_begin(&baz->map)) == -ENODEV) {
		ret = baz_remap(baz);		/* -ENODEV: not live */
		if (ret)
			return ret;
	}
	if (ret)
		return ret;
	ret = dma_buf_phys_cpu_read(&baz->map, offset, dst, len);
	dma_buf_phys_cpu_end(&baz->map);
	return ret;
}

static int baz_write(struct baz *baz, u64 offset, const void *src, size_t len)
{
	int ret;

	ret = dma_buf_phys_cpu_begin(&baz->map);	/* -ENODEV: the view is dead */
	if (ret)
		return ret;
	ret = dma_buf_phys_cpu_write(&baz->map, offset, src, len);
	if (!ret)
		ret = dma_buf_phys_cpu_flush(&baz->map, offset, len);
	dma_buf_phys_cpu_end(&baz->map);
	return ret;
}

/*
 * The tests. bar writes to BLOCK, baz looks at the page around it.
 */

#define WINDOW		SZ_1M
#define WINDOW_LEN	SZ_4K
#define BLOCK		768		/* in the window */
#define BLOCK_LEN	1024

static const struct pci_device_id foo_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, 0x1110) },
	{ }
};

static struct pci_driver foo_driver = {
	.name = "dma-buf-phys-example-foo",
	.id_table = foo_ids,
	.probe = foo_probe,
	.remove = foo_remove,
	.err_handler = &foo_err_handlers,
};

static const struct pci_device_id bar_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};

static struct pci_driver bar_driver = {
	.name = "dma-buf-phys-example-bar",
	.id_table = bar_ids,
	.probe = bar_probe,
};

struct scene {
	struct pci_dev *foo_pdev, *bar_pdev;
	struct foo *foo;		/* NULL: not bound */
	struct bar *bar;
	struct baz baz;
	bool bar_attached, baz_attached;
	struct dma_buf *dmabuf;
	u8 bytes[WINDOW_LEN];		/* what is in the window */
	u8 found[WINDOW_LEN];
};

static void find(struct kunit *test, const struct pci_device_id *id,
		 struct pci_driver *driver, struct pci_dev **pdev)
{
	*pdev = pci_get_device(id->vendor, id->device, NULL);
	KUNIT_ASSERT_NOT_NULL_MSG(test, *pdev, "no device %04x:%04x of QEMU's",
				  id->vendor, id->device);
	KUNIT_ASSERT_PTR_EQ_MSG(test, pci_dev_driver(*pdev), driver,
				"%s has another driver, or its probe failed",
				pci_name(*pdev));
}

static void share(struct kunit *test, struct scene *s)
{
	s->foo = pci_get_drvdata(s->foo_pdev);
	s->dmabuf = foo_share(s->foo);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, s->dmabuf);
}

static int attach_bar(struct scene *s)
{
	int ret = bar_attach(s->bar, s->dmabuf, &s->bar_pdev->dev);

	s->bar_attached = !ret;
	return ret;
}

static void attach_all(struct kunit *test, struct scene *s)
{
	KUNIT_ASSERT_EQ(test, attach_bar(s), 0);
	KUNIT_ASSERT_EQ(test, baz_attach(&s->baz, s->dmabuf, &s->bar_pdev->dev,
					 WINDOW, WINDOW_LEN), 0);
	s->baz_attached = true;
}

/* Whatever there is by now. */
static void let_go(struct scene *s)
{
	if (s->baz_attached)
		baz_detach(&s->baz);
	if (s->bar_attached)
		bar_detach(s->bar);
	s->baz_attached = false;
	s->bar_attached = false;
	if (!IS_ERR_OR_NULL(s->dmabuf))
		dma_buf_put(s->dmabuf);
	s->dmabuf = NULL;
	if (s->foo)
		foo_unshare(s->foo);
}

static int map_block(struct scene *s)
{
	return bar_map(s->bar, WINDOW + BLOCK, BLOCK_LEN);
}

/* bar has bytes in its buffer that were not used before, and starts to write. */
static int submit(struct scene *s)
{
	struct dbt_edu *edu = &s->bar->engine.edu;
	int ret;

	get_random_bytes(edu->bounce, BLOCK_LEN);
	scoped_guard(mutex, &edu->lock)
		ret = dbt_edu_move_bounce(edu, BLOCK_LEN, false);
	if (ret)
		return ret;
	ret = bar_submit(s->bar);
	if (!ret)
		memcpy(s->bytes + BLOCK, edu->bounce, BLOCK_LEN);
	return ret;
}

static void expect_bytes(struct kunit *test, struct scene *s)
{
	KUNIT_EXPECT_EQ(test, baz_read(&s->baz, 0, s->found, WINDOW_LEN), 0);
	KUNIT_EXPECT_EQ(test, memcmp(s->found, s->bytes, WINDOW_LEN), 0);
}

static void dma_arrives(struct kunit *test)
{
	struct scene *s = test->priv;

	KUNIT_ASSERT_EQ(test, map_block(s), 0);
	KUNIT_ASSERT_EQ(test, submit(s), 0);
	KUNIT_EXPECT_EQ(test, dbt_edu_wait_idle(&s->bar->engine.edu), 0);
	expect_bytes(test, s);
}

/* The reset is asked for while bar is about to write: it waits for that. */
static void reset(struct kunit *test)
{
	struct scene *s = test->priv;

	KUNIT_ASSERT_EQ(test, map_block(s), 0);
	KUNIT_ASSERT_EQ(test, submit(s), 0);
	KUNIT_ASSERT_EQ(test, pci_reset_function(s->foo_pdev), 0);

	KUNIT_EXPECT_EQ(test, submit(s), -ENODEV);
	KUNIT_EXPECT_EQ(test, baz_write(&s->baz, 0, s->bytes, 1), -ENODEV);
	expect_bytes(test, s);
	dma_arrives(test);
}

static void away_in_reset(struct kunit *test)
{
	struct scene *s = test->priv;

	foo_reset_prepare(s->foo_pdev);
	KUNIT_EXPECT_EQ(test, map_block(s), -ENODEV);
	KUNIT_EXPECT_EQ(test, baz_read(&s->baz, 0, s->found, 1), -ENODEV);
	foo_reset_done(s->foo_pdev);
	dma_arrives(test);
}

/* What is exported during a reset works when the reset is over, not before. */
static void shared_in_reset(struct kunit *test)
{
	struct scene *s = test->priv;
	int ret;

	let_go(s);
	foo_reset_prepare(s->foo_pdev);
	share(test, s);
	ret = attach_bar(s);
	foo_reset_done(s->foo_pdev);
	KUNIT_ASSERT_EQ(test, ret, -ENODEV);
	attach_all(test, s);
	dma_arrives(test);
}

/* The buffer is dead for good, whoever holds it; foo can be bound again. */
static void unbind(struct kunit *test)
{
	struct scene *s = test->priv;
	struct bar other = {};

	KUNIT_ASSERT_EQ(test, map_block(s), 0);
	device_release_driver(&s->foo_pdev->dev);
	s->foo = NULL;
	KUNIT_EXPECT_EQ(test, submit(s), -ENODEV);
	KUNIT_EXPECT_EQ(test, map_block(s), -ENODEV);
	KUNIT_EXPECT_EQ(test, baz_read(&s->baz, 0, s->found, 1), -ENODEV);
	KUNIT_EXPECT_EQ(test, bar_attach(&other, s->dmabuf, &s->bar_pdev->dev),
			-ENODEV);

	KUNIT_ASSERT_EQ(test, device_attach(&s->foo_pdev->dev), 1);
	KUNIT_EXPECT_EQ(test, map_block(s), -ENODEV);
	let_go(s);
	share(test, s);
	attach_all(test, s);
	dma_arrives(test);
}

static int example_init(struct kunit *test)
{
	struct scene *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, s);
	test->priv = s;
	find(test, foo_ids, &foo_driver, &s->foo_pdev);
	find(test, bar_ids, &bar_driver, &s->bar_pdev);
	if (pci_p2pdma_distance(s->foo_pdev, &s->bar_pdev->dev, false) < 0)
		kunit_skip(test, "no peer-to-peer through this host bridge");
	s->bar = pci_get_drvdata(s->bar_pdev);
	share(test, s);
	attach_all(test, s);
	get_random_bytes(s->bytes, WINDOW_LEN);
	KUNIT_ASSERT_EQ(test, baz_write(&s->baz, 0, s->bytes, WINDOW_LEN), 0);
	return 0;
}

static void example_exit(struct kunit *test)
{
	struct scene *s = test->priv;

	if (!s)
		return;
	let_go(s);
	pci_dev_put(s->foo_pdev);
	pci_dev_put(s->bar_pdev);
}

static int example_suite_init(struct kunit_suite *suite)
{
	int ret;

	ret = pci_register_driver(&foo_driver);
	if (ret)
		return ret;
	ret = pci_register_driver(&bar_driver);
	if (ret)
		pci_unregister_driver(&foo_driver);
	return ret;
}

static void example_suite_exit(struct kunit_suite *suite)
{
	pci_unregister_driver(&bar_driver);
	pci_unregister_driver(&foo_driver);
}

static struct kunit_case example_cases[] = {
	KUNIT_CASE(dma_arrives),
	KUNIT_CASE(reset),
	KUNIT_CASE(away_in_reset),
	KUNIT_CASE(shared_in_reset),
	KUNIT_CASE(unbind),
	{}
};

static struct kunit_suite example_suite = {
	.name = "dma-buf-phys-example",
	.suite_init = example_suite_init,
	.suite_exit = example_suite_exit,
	.init = example_init,
	.exit = example_exit,
	.test_cases = example_cases,
};

kunit_test_suite(example_suite);

MODULE_DESCRIPTION("Example exporter and importers of dma-buf-phys, run by KUnit");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
MODULE_IMPORT_NS("DMA_BUF_TEST");
