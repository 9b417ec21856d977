/** A user-mode driver of the host on VFIO devices of a lab: their descriptors are passed to it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { Host, needsEntry } from './cli.ts';

const host = new Host();
const folder = mkdtempSync(join(tmpdir(), 'vdpalab-vfio-'));
const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));

afterAll(() => {
  rmSync(folder, { recursive: true });
  host.close();
});

it('gets descriptors that work, are shared by dup and fork, and close the device at last', async (context) => {
  needsEntry(context, 'gcc', 'driverctl', 'udevadm');
  const client = join(folder, 'client');
  const compiled = spawnSync('gcc', ['-O1', '-o', client, path('testdata/vfio-client.c')], { encoding: 'utf8' });
  expect(compiled.stderr).toBe('');
  const script = `
    modprobe pci-pf-stub && echo 1af4 1041 8086 0 >/sys/bus/pci/drivers/pci-pf-stub/new_id && modprobe vfio_iommu_type1
    echo 1 >/sys/bus/pci/devices/0000:07:00.0/sriov_numvfs && driverctl --nosave set-override 0000:07:00.2 vfio-pci
    group=$(readlink /sys/bus/pci/devices/0000:07:00.2/iommu_group); ${client} "\${group##*/}" 0000:07:00.2
    until rmmod vfio_pci 2>/dev/null; do sleep 0.1; done # the host's kernel tells of a last close when it likes
    echo 0 >/sys/bus/pci/devices/0000:07:00.0/sriov_numvfs`;
  const { stdout, stderr } = await host.bash(script, { exec: ['--trap', '--lab', path('scenarios/flagship.yaml')] });
  expect(stderr).toBe('');
  expect(stdout.split('\n')).toEqual([
    'ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[2]):EINVAL', 'ioctl(group, VFIO_GROUP_SET_CONTAINER, &container)=0', 'ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)=0',
    'ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:00:00.0"):ENODEV', 'ioctl(group, VFIO_GROUP_GET_DEVICE_FD, 8):EFAULT', 'ioctl(99, VFIO_GROUP_GET_DEVICE_FD, argv[2]):EBADF',
    'ioctl(0, VFIO_GROUP_GET_DEVICE_FD, argv[2]):ENOTTY', 'device=5', 'fcntl(device, F_GETFD)=1', 'ioctl(device, VFIO_DEVICE_GET_INFO, &info)=0', 'flags 3, regions 9, irqs 5',
    'ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region)=0', 'pread(device, bytes, 4, region.offset)=4', 'id 1af4:1041', 'pread(copy, bytes, 2, region.offset)=2', 'id 1af4:1041',
    'again=5', 'close(copy)=0', 'ioctl(device, VFIO_DEVICE_RESET)=0', '',
  ]);
  await host.settled();
}, 120_000);
