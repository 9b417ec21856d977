import { expect, test } from 'vitest';
import { inKernfsOrder, inProcOrder, kernfsNameHash, newestFirst } from './name-order.ts';

test('sysfs lists names in the order of their hash, as lsmod on Linux 6.1 shows the holders', () => {
  // "Used by" of vhost_iotlb, vdpa, virtio_ring and vringh in reference/linux-6.1/05-vdpa-bus.txt
  const recorded = [
    ['vdpa_sim', 'vringh', 'vhost_vdpa', 'vhost'],
    ['vdpa_sim', 'virtio_vdpa', 'vhost_vdpa', 'vdpa_sim_net'],
    ['virtio_vdpa', 'virtio'],
    ['vdpa_sim', 'vdpa_sim_net'],
  ];
  for (const order of recorded) expect(inKernfsOrder([...order].sort())).toEqual(order);
});

test('the hashes that stand for . and .. are given to no name', () => {
  expect(kernfsNameHash('')).toBe(2);
});

test('procfs lists shorter names first, then by name, and processes last', () => {
  expect(inProcOrder(['10', 'version', 'tty', 'self', 'fs', '9', 'sys', 'bus'])).toEqual(['fs', 'bus', 'sys', 'tty', 'self', 'version', '9', '10']);
});

test('memory file systems list the newest name first', () => {
  expect(newestFirst(['a', 'b', 'c'])).toEqual(['c', 'b', 'a']);
});
