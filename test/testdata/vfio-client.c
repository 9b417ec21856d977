/*
 * All of VFIO's calls as a user-mode driver meets them: `vfio-client GROUP DEVICE`, or `vfio-client limits GROUP DEVICE`.
 * One line a call: the rows of docs/reference/features.md that say why, the call, what it came to. What a call gave follows.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define ALL 0UL, 0UL
/* Later than some headers, and none of Linux at all. */
#define UNKNOWN_IOCTL _IO(VFIO_TYPE, VFIO_BASE + 99)
#define SPAPR_TCE 2
#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define DMA(argsz_, flags_, vaddr_, iova_, size_) \
	(&(struct vfio_iommu_type1_dma_map){ .argsz = argsz_, .flags = flags_, .vaddr = vaddr_, .iova = iova_, .size = size_ })
#define MAP(flags_, vaddr_, iova_, size_) ioctl(container, VFIO_IOMMU_MAP_DMA, DMA(32, flags_, vaddr_, iova_, size_))

static int container, group, device;
static const char *name, *path;
static char *memory;

/* A line of the transcript; what the call returns is passed on. */
static long say(const char *rows, const char *call, long result)
{
	if (result < 0) printf("%-8s %s = -1 %s\n", rows, call, strerrorname_np(errno));
	else printf("%-8s %s = %ld\n", rows, call, result);
	return result;
}

/* What a call gave. */
#define tell(...) (printf("         "), printf(__VA_ARGS__), putchar('\n'))

static void heading(const char *text) { printf("\n## %s\n", text); }

#define TRY(rows, call) say(rows, #call, (long)(call))

static void alone(void)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };

	heading("a container by itself");
	container = TRY("2.12.1", open("/dev/vfio/vfio", O_RDWR));
	TRY("2.12.1", ioctl(container, VFIO_GET_API_VERSION));
	TRY("2.12.9", ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU));
	TRY("2.12.9", ioctl(container, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL));
	TRY("2.12.9", ioctl(container, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR));
	TRY("2.12.9", ioctl(container, VFIO_CHECK_EXTENSION, SPAPR_TCE));
	TRY("2.12.1", ioctl(container, VFIO_IOMMU_GET_INFO, &info));
	TRY("2.12.1", MAP(RW, (uintptr_t)memory, 0, PAGE));
	TRY("2.12.1", ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	TRY("2.12.1", ioctl(container, UNKNOWN_IOCTL));
}

static void join(void)
{
	struct vfio_group_status status = { .argsz = sizeof(status) }, small = { .argsz = 4 };
	int nobody = 99, input = 0;

	heading("a group, and its way into the container");
	group = TRY("2.12.3", open(path, O_RDWR));
	TRY("2.12.3", open(path, O_RDWR));
	TRY("2.12.4", ioctl(group, VFIO_GROUP_GET_STATUS, &small));
	TRY("2.12.4", ioctl(group, VFIO_GROUP_GET_STATUS, &status));
	tell("flags %x", status.flags);
	TRY("2.12.6", ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name));
	TRY("2.12.5", ioctl(group, VFIO_GROUP_UNSET_CONTAINER));
	TRY("2.12.5", ioctl(group, VFIO_GROUP_SET_CONTAINER, 8));
	TRY("2.12.5", ioctl(group, VFIO_GROUP_SET_CONTAINER, &nobody));
	TRY("2.12.5", ioctl(group, VFIO_GROUP_SET_CONTAINER, &input));
	TRY("2.12.5", ioctl(group, VFIO_GROUP_SET_CONTAINER, &group));
	TRY("2.12.5", ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	TRY("2.12.5", ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	TRY("2.12.4", ioctl(group, VFIO_GROUP_GET_STATUS, &status));
	tell("flags %x", status.flags);
	TRY("2.12.6", ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name));
	TRY("2.12.1", ioctl(container, VFIO_SET_IOMMU, SPAPR_TCE));
	TRY("2.12.1", ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU));
	TRY("2.12.1", ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	TRY("2.12.1", ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	TRY("2.12.9", ioctl(container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU));
	TRY("2.12.9", ioctl(container, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR));
	TRY("2.12.1", ioctl(container, UNKNOWN_IOCTL));
	TRY("2.12.6", ioctl(group, UNKNOWN_IOCTL));
}

static void iommu(void)
{
	union { struct vfio_iommu_type1_info info; char bytes[256]; } all = { .info.argsz = sizeof(all) };
	struct vfio_iommu_type1_info small = { .argsz = 15 };
	struct vfio_info_cap_header *cap;

	heading("what the IOMMU can");
	TRY("2.12.19", ioctl(container, VFIO_IOMMU_GET_INFO, &small));
	TRY("2.12.19", ioctl(container, VFIO_IOMMU_GET_INFO, &all));
	tell("flags %x, page sizes %llx, %u bytes", all.info.flags, (unsigned long long)all.info.iova_pgsizes, all.info.argsz);
	for (unsigned at = all.info.cap_offset; at != 0; at = cap->next) {
		cap = (void *)(all.bytes + at);
		if (cap->id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
			struct vfio_iommu_type1_info_cap_iova_range *ranges = (void *)cap;
			for (unsigned i = 0; i < ranges->nr_iovas; i++)
				tell("addresses %llx to %llx", (unsigned long long)ranges->iova_ranges[i].start, (unsigned long long)ranges->iova_ranges[i].end);
		} else if (cap->id == VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION) {
			struct vfio_iommu_type1_info_cap_migration *migration = (void *)cap;
			tell("dirty pages of %llx bytes, bitmaps up to %llx bytes", (unsigned long long)migration->pgsize_bitmap, (unsigned long long)migration->max_dirty_bitmap_size);
		} else if (cap->id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL) {
			tell("room for %u mappings", ((struct vfio_iommu_type1_info_dma_avail *)cap)->avail);
		}
	}
}

/* Unmap, and say how much that was. */
static void unmap(const char *rows, const char *what, uint32_t flags, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap arg = { .argsz = sizeof(arg), .flags = flags, .iova = iova, .size = size };
	char call[200];

	snprintf(call, sizeof(call), "unmap(%s)", what);
	if (say(rows, call, ioctl(container, VFIO_IOMMU_UNMAP_DMA, &arg)) == 0) tell("%llx bytes", (unsigned long long)arg.size);
}

#define UNMAP(flags_, range) unmap("2.12.12", #flags_ ", " #range, flags_, range)
#define AT(iova_, size_) iova_, size_

static void mappings(void)
{
	uintptr_t va = (uintptr_t)memory, hole = (uintptr_t)memory + 16 * PAGE, ro = (uintptr_t)memory + 8 * PAGE;
	const uint32_t vaddr = VFIO_DMA_MAP_FLAG_VADDR;

	heading("mappings");
	TRY("2.12.11", MAP(RW, va, 0x10000, 4 * PAGE));
	TRY("2.12.11", MAP(RW, va, 0x10000, 4 * PAGE));
	TRY("2.12.11", MAP(RW, va, 0x13000, PAGE));
	TRY("2.12.11", MAP(RW, va, 0x14000, PAGE));
	TRY("2.12.11", MAP(RW, va, 0x20000, 0));
	TRY("2.12.11", MAP(RW, va, 0x20000, PAGE / 2));
	TRY("2.12.11", MAP(RW, va, 0x20800, PAGE));
	TRY("2.12.11", MAP(RW, va + 8, 0x20000, PAGE));
	TRY("2.12.11", MAP(RW, va, -PAGE, 2 * PAGE));
	TRY("2.12.11", MAP(RW, -PAGE, 0x20000, 2 * PAGE));
	TRY("2.12.11", MAP(0, va, 0x20000, PAGE));
	TRY("2.12.11", MAP(RW | 8, va, 0x20000, PAGE));
	TRY("2.12.11", MAP(RW | vaddr, va, 0x20000, PAGE));
	TRY("2.12.11", MAP(RW, va, 1UL << 48, PAGE));
	TRY("2.12.11", MAP(RW, va, 0xfee00000, PAGE));
	TRY("2.12.11", MAP(RW, hole, 0x20000, PAGE));
	TRY("2.12.11", MAP(RW, ro, 0x21000, PAGE));
	TRY("2.12.11", MAP(VFIO_DMA_MAP_FLAG_READ, ro, 0x22000, PAGE));
	TRY("2.12.11", MAP(vaddr, va, 0x30000, PAGE));
	TRY("2.12.11", MAP(vaddr, va, 0x10000, 4 * PAGE));
	TRY("2.12.11", ioctl(container, VFIO_IOMMU_MAP_DMA, DMA(31, RW, va, 0x40000, PAGE)));
	TRY("2.12.11", ioctl(container, VFIO_IOMMU_MAP_DMA, 8));
	UNMAP(0, AT(0x50000, PAGE));
	UNMAP(0, AT(0x11000, PAGE));
	UNMAP(0, AT(0x10000, 0));
	UNMAP(0, AT(0x10000, PAGE / 2));
	UNMAP(0, AT(0x10800, PAGE));
	UNMAP(0, AT(-PAGE, 2 * PAGE));
	UNMAP(8, AT(0x10000, 4 * PAGE));
	UNMAP(VFIO_DMA_UNMAP_FLAG_ALL, AT(0, PAGE));
	UNMAP(VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, AT(0x10000, 4 * PAGE));
	UNMAP(VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP | VFIO_DMA_UNMAP_FLAG_ALL, ALL);
	UNMAP(VFIO_DMA_UNMAP_FLAG_VADDR, AT(0x10000, 4 * PAGE));
	UNMAP(VFIO_DMA_UNMAP_FLAG_VADDR, AT(0x10000, 4 * PAGE));
	TRY("2.12.11", MAP(vaddr, va, 0x10000, 4 * PAGE));
	UNMAP(0, AT(0x10000, 5 * PAGE));
	UNMAP(VFIO_DMA_UNMAP_FLAG_ALL, ALL);
	TRY("2.12.12", ioctl(container, VFIO_IOMMU_UNMAP_DMA, 8));
}

static void regions(const struct vfio_device_info *info)
{
	struct vfio_region_info region = { .argsz = sizeof(region), .index = VFIO_PCI_CONFIG_REGION_INDEX }, small = { .argsz = 4 };
	unsigned char bytes[8];
	void *at;

	heading("regions");
	for (unsigned i = 0; i <= info->num_regions; i++) {
		struct vfio_region_info one = { .argsz = sizeof(one), .index = i };
		if (TRY("2.13.2", ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &one)) == 0)
			tell("region %u: flags %x, %llx bytes at %llx", i, one.flags, (unsigned long long)one.size, (unsigned long long)one.offset);
		if ((one.flags & VFIO_REGION_INFO_FLAG_MMAP) == 0) continue;
		at = mmap(NULL, one.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, one.offset);
		say("2.13.2", "mmap(NULL, one.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, one.offset)", at == MAP_FAILED ? -1 : 0);
	}
	TRY("2.13.2", ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &small));
	ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region);
	if (TRY("2.13.2", pread(device, bytes, 4, region.offset)) == 4) tell("%02x%02x:%02x%02x", bytes[1], bytes[0], bytes[3], bytes[2]);
	TRY("2.13.2", pwrite(device, "\x07\x00", 2, region.offset + 4));
	if (TRY("2.13.2", pread(device, bytes, 2, region.offset + 4)) == 2) tell("command %02x%02x", bytes[1], bytes[0]);
	TRY("2.13.2", pread(device, bytes, 4, region.offset + region.size));
	TRY("2.13.2", pread(device, bytes, 4, 5UL << 40));
	TRY("2.13.2", pread(device, bytes, 4, 63UL << 40));
}

/* SET_IRQS with up to one value. */
static int irqs(uint32_t argsz, uint32_t flags, uint32_t index, uint32_t start, uint32_t count, int32_t value)
{
	struct { struct vfio_irq_set set; int32_t value; } arg = { { argsz, flags, index, start, count }, value };

	return ioctl(device, VFIO_DEVICE_SET_IRQS, &arg);
}

static void interrupts(const struct vfio_device_info *info)
{
	const uint32_t trigger = VFIO_IRQ_SET_ACTION_TRIGGER, mask = VFIO_IRQ_SET_ACTION_MASK, unmask = VFIO_IRQ_SET_ACTION_UNMASK;
	const uint32_t none = VFIO_IRQ_SET_DATA_NONE, eventfd_ = VFIO_IRQ_SET_DATA_EVENTFD, boolean = VFIO_IRQ_SET_DATA_BOOL;
	const uint32_t intx = VFIO_PCI_INTX_IRQ_INDEX, msi = VFIO_PCI_MSI_IRQ_INDEX, msix = VFIO_PCI_MSIX_IRQ_INDEX, req = VFIO_PCI_REQ_IRQ_INDEX;
	struct vfio_irq_info small = { .argsz = 4 };
	int event = eventfd(0, EFD_NONBLOCK);
	uint64_t count;

	heading("interrupts");
	for (unsigned i = 0; i <= info->num_irqs; i++) {
		struct vfio_irq_info one = { .argsz = sizeof(one), .index = i };
		if (TRY("2.13.3", ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &one)) == 0) tell("index %u: flags %x, count %u", i, one.flags, one.count);
	}
	TRY("2.13.3", ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &small));
	TRY("2.13.3", irqs(19, trigger | none, msix, 0, 0, 0));
	TRY("2.13.3", irqs(24, trigger | mask | eventfd_, msix, 0, 1, event));
	TRY("2.13.3", irqs(24, trigger | none | eventfd_, msix, 0, 1, event));
	TRY("2.13.3", irqs(24, trigger, msix, 0, 1, event));
	TRY("2.13.3", irqs(24, none, msix, 0, 1, event));
	TRY("2.13.3", irqs(24, trigger | eventfd_, 9, 0, 1, event));
	TRY("2.13.3", irqs(24, trigger | eventfd_, msix, 99, 1, event));
	TRY("2.13.3", irqs(24, trigger | eventfd_, msix, 0, 99, event));
	TRY("2.13.3", irqs(20, trigger | eventfd_, msix, 0, 1, event));
	TRY("2.13.3", irqs(24, trigger | eventfd_, msix, 0, 1, 99));
	TRY("2.13.3", irqs(24, mask | none, msix, 0, 1, 0));
	TRY("2.13.3", irqs(24, unmask | none, intx, 0, 1, 0));
	TRY("2.13.3", irqs(24, trigger | eventfd_, intx, 0, 1, event));
	TRY("2.13.3", irqs(20, trigger | none, intx, 0, 0, 0));
	TRY("2.13.3", irqs(24, trigger | eventfd_, msi, 0, 1, event));
	TRY("2.13.3", irqs(20, trigger | none, msi, 0, 0, 0));
	TRY("2.13.3", irqs(24, trigger | eventfd_, msix, 0, 1, event));
	TRY("2.13.3", irqs(20, trigger | none, msix, 0, 1, 0));
	TRY("2.13.3", irqs(21, trigger | boolean, msix, 0, 1, 1));
	if (TRY("2.13.3", read(event, &count, 8)) == 8) tell("%llu interrupts", (unsigned long long)count);
	TRY("2.13.3", irqs(24, trigger | eventfd_, msix, 0, 1, -1));
	TRY("2.13.3", irqs(20, trigger | none, msix, 0, 0, 0));
	TRY("2.13.3", irqs(24, trigger | eventfd_, req, 0, 1, event));
	TRY("2.13.3", irqs(20, trigger | none, req, 0, 0, 0));
	close(event);
}

static void more(void)
{
	struct { struct vfio_device_feature head; uint64_t data[4]; } feature = { .head.argsz = sizeof(feature) };
	struct { struct vfio_pci_hot_reset_info head; char devices[240]; } hot = { .head.argsz = sizeof(hot) };
	struct vfio_pci_hot_reset reset = { .argsz = sizeof(reset) };
	struct vfio_device_ioeventfd event = { .argsz = sizeof(event), .flags = VFIO_DEVICE_IOEVENTFD_16, .offset = 4UL << 40, .fd = -1 };

	heading("features and resets");
	feature.head.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET;
	TRY("2.13.6", ioctl(device, VFIO_DEVICE_FEATURE, &feature));
	feature.head.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_MIGRATION;
	TRY("2.13.7", ioctl(device, VFIO_DEVICE_FEATURE, &feature));
	feature.head.flags = VFIO_DEVICE_FEATURE_GET | 99;
	TRY("2.13.6", ioctl(device, VFIO_DEVICE_FEATURE, &feature));
	TRY("2.13.5", ioctl(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &hot));
	TRY("2.13.5", ioctl(device, VFIO_DEVICE_PCI_HOT_RESET, &reset));
	TRY("2.13.5", ioctl(device, VFIO_DEVICE_IOEVENTFD, &event));
	TRY("2.13.5", ioctl(device, VFIO_DEVICE_RESET));
	TRY("2.13.1", ioctl(device, UNKNOWN_IOCTL));
}

static void opened(void)
{
	struct vfio_device_info info = { .argsz = sizeof(info) }, small = { .argsz = 4 };

	heading("a device");
	TRY("2.12.6", ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:00:00.0"));
	TRY("2.12.6", ioctl(group, VFIO_GROUP_GET_DEVICE_FD, 8));
	TRY("2.12.6", ioctl(99, VFIO_GROUP_GET_DEVICE_FD, name));
	TRY("2.12.6", ioctl(0, VFIO_GROUP_GET_DEVICE_FD, name));
	device = TRY("2.12.6", ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name));
	TRY("2.12.6", fcntl(device, F_GETFD));
	TRY("2.13.1", ioctl(device, VFIO_DEVICE_GET_INFO, &small));
	TRY("2.13.1", ioctl(device, VFIO_DEVICE_GET_INFO, 8));
	TRY("2.13.1", ioctl(device, VFIO_DEVICE_GET_INFO, &info));
	tell("flags %x, %u regions, %u interrupts", info.flags, info.num_regions, info.num_irqs);
	TRY("2.12.5", ioctl(group, VFIO_GROUP_UNSET_CONTAINER));
	regions(&info);
	interrupts(&info);
	more();
}

/* DIRTY_PAGES; with a range, its bitmap's first byte is told. */
static void dirty(const char *what, uint32_t flags, uint64_t iova, uint64_t size, uint64_t pgsize, uint64_t room)
{
	uint64_t bits = 0;
	struct { struct vfio_iommu_type1_dirty_bitmap head; struct vfio_iommu_type1_dirty_bitmap_get get; } arg = {
		{ .argsz = sizeof(arg), .flags = flags }, { .iova = iova, .size = size, .bitmap = { .pgsize = pgsize, .size = room, .data = (void *)&bits } },
	};
	char call[200];

	snprintf(call, sizeof(call), "dirty(%s)", what);
	if (say("2.12.18", call, ioctl(container, VFIO_IOMMU_DIRTY_PAGES, &arg)) == 0 && size != 0) tell("pages %llx", (unsigned long long)bits);
}

#define DIRTY(flags_, ...) dirty(#flags_ ", " #__VA_ARGS__, flags_, __VA_ARGS__)

static void tracking(void)
{
	const uint32_t start = VFIO_IOMMU_DIRTY_PAGES_FLAG_START, stop = VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP, get = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
	uint64_t bits = 0;
	struct { struct vfio_iommu_type1_dma_unmap head; struct vfio_bitmap bitmap; } arg = {
		{ .argsz = sizeof(arg), .flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, .iova = 0x10000, .size = 4 * PAGE }, { PAGE, 8, (void *)&bits },
	};

	heading("dirty pages");
	TRY("2.12.18", MAP(RW, (uintptr_t)memory, 0x10000, 4 * PAGE));
	DIRTY(get, 0x10000, 4 * PAGE, PAGE, 8);
	DIRTY(start | stop, 0, 0, 0, 0);
	DIRTY(8, 0, 0, 0, 0);
	DIRTY(start, 0, 0, 0, 0);
	DIRTY(start, 0, 0, 0, 0);
	DIRTY(get, 0x10000, 4 * PAGE, PAGE, 8);
	DIRTY(get, 0x10000, 4 * PAGE, PAGE, 8);
	DIRTY(get, 0x10000, 4 * PAGE, 2 * PAGE, 8);
	DIRTY(get, 0x10000, 2 * PAGE, PAGE, 8);
	DIRTY(get, 0x10000, 4 * PAGE, PAGE, 0);
	DIRTY(get, 0x40000, 4 * PAGE, PAGE, 8);
	if (TRY("2.12.12", ioctl(container, VFIO_IOMMU_UNMAP_DMA, &arg)) == 0) tell("%llx bytes, pages %llx", (unsigned long long)arg.head.size, (unsigned long long)bits);
	DIRTY(stop, 0, 0, 0, 0);
	DIRTY(stop, 0, 0, 0, 0);
}

static void closes(void)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int copy;

	heading("who keeps what open");
	TRY("2.12.7", MAP(RW, (uintptr_t)memory, 0x10000, PAGE));
	copy = TRY("2.12.6", dup(device));
	TRY("2.12.6", close(device));
	if (fork() == 0) {
		TRY("2.12.6", ioctl(copy, VFIO_DEVICE_GET_INFO, &info));
		exit(0);
	}
	wait(NULL);
	device = TRY("2.12.6", ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name));
	TRY("2.12.6", close(copy));
	TRY("2.12.7", close(container));
	TRY("2.12.3", close(group));
	TRY("2.12.3", open(path, O_RDWR));
	TRY("2.13.1", ioctl(device, VFIO_DEVICE_GET_INFO, &info));
	TRY("2.12.7", close(device));
}

/* With little memory to lock and room for two mappings. */
static void limits(void)
{
	heading("limits");
	container = open("/dev/vfio/vfio", O_RDWR);
	group = TRY("2.12.3", open(path, O_RDWR));
	TRY("2.12.5", ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	TRY("2.12.1", ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	TRY("2.12.11", MAP(RW, (uintptr_t)memory, 0, 8 * PAGE));
	TRY("2.12.11", MAP(RW, (uintptr_t)memory, 0, PAGE));
	TRY("2.12.11", MAP(RW, (uintptr_t)memory, PAGE, PAGE));
	TRY("2.12.10", MAP(RW, (uintptr_t)memory, 2 * PAGE, PAGE));
}

int main(int argc, char **argv)
{
	static char node[64];

	if (argc < 3) return 2;
	name = argv[argc - 1];
	snprintf(node, sizeof(node), "/dev/vfio/%s", argv[argc - 2]);
	path = node;
	setvbuf(stdout, NULL, _IOLBF, 0); /* a child prints, too */
	memory = mmap(NULL, 32 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(memory + 16 * PAGE, 16 * PAGE);
	mprotect(memory + 8 * PAGE, PAGE, PROT_READ);
	if (strcmp(argv[1], "limits") == 0) {
		limits();
		return 0;
	}
	alone();
	join();
	iommu();
	mappings();
	opened();
	tracking();
	closes();
	return 0;
}
