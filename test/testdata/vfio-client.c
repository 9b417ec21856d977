/*
 * A user-mode driver's first steps: `vfio-client GROUP DEVICE`. Prints what each call returns, and what the device says.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *name, long result)
{
	if (result < 0) printf("%s:%s\n", name, strerrorname_np(errno));
	else printf("%s=%ld\n", name, result);
	fflush(stdout);
}

#define TRY(call) say(#call, call)

int main(int argc, char **argv)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_region_info region = { .argsz = sizeof(region), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	char path[64];
	unsigned char bytes[8];
	int container, group, device, copy;

	if (argc != 3) return 2;
	snprintf(path, sizeof(path), "/dev/vfio/%s", argv[1]);
	container = open("/dev/vfio/vfio", O_RDWR);
	group = open(path, O_RDWR);
	TRY(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[2]));
	TRY(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	TRY(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	TRY(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:00:00.0"));
	TRY(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, 8));
	TRY(ioctl(99, VFIO_GROUP_GET_DEVICE_FD, argv[2]));
	TRY(ioctl(0, VFIO_GROUP_GET_DEVICE_FD, argv[2]));
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[2]);
	say("device", device);
	TRY(fcntl(device, F_GETFD));
	TRY(ioctl(device, VFIO_DEVICE_GET_INFO, &info));
	printf("flags %x, regions %u, irqs %u\n", info.flags, info.num_regions, info.num_irqs);
	TRY(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region));
	TRY(pread(device, bytes, 4, region.offset));
	printf("id %02x%02x:%02x%02x\n", bytes[1], bytes[0], bytes[3], bytes[2]);
	copy = dup(device);
	close(device);
	if (fork() == 0) {
		TRY(pread(copy, bytes, 2, region.offset));
		return 0;
	}
	wait(NULL);
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[2]);
	say("again", device);
	TRY(close(copy));
	TRY(ioctl(device, VFIO_DEVICE_RESET));
	return 0;
}
