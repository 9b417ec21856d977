import { KernelError } from '@vdpalab/abi';
import type { VmArea } from '@vdpalab/mm';
import { MAP_SHARED, PROT_WRITE } from '@vdpalab/uapi';
import type { VdpaDevice } from '@vdpalab/vdpa-core';
import { expect, test } from 'vitest';
import { mapDoorbell } from './doorbell.ts';

/** An area of one page for queue 0. */
const area = (): VmArea => ({ start: 0x1000, end: 0x2000, prot: PROT_WRITE, flags: MAP_SHARED, pgoff: 0, mm: null as never, backing: { kind: 'none' }, close: null });
/** A device whose doorbell lies there. */
const device = (addr: number, size: number): VdpaDevice =>
  ({ dev: { name: 'vdpa0' }, nvqs: 1, config: { get_vq_notification: () => ({ addr, size }) } }) as unknown as VdpaDevice; // what is looked at

test.each([
  ['lies in the middle of a page', 0xe000_0040, 0x1000, 'EINVAL', 'vhost_vdpa.mmap.align'],
  ['is shorter than a page', 0xe000_0000, 0x40, 'ENOTSUPP', 'vhost_vdpa.mmap.area'],
  ['is longer than a page', 0xe000_0000, 0x2000, 'ENOTSUPP', 'vhost_vdpa.mmap.area'],
] as const)('a doorbell that %s is not mapped', (_what, addr, size, errno, rule) => {
  const vma = area();
  let refusal: unknown = null;
  try {
    mapDoorbell(device(addr, size), vma);
  } catch (error) {
    refusal = error;
  }
  expect(refusal).toBeInstanceOf(KernelError);
  expect(refusal).toMatchObject({ errno, rule });
  expect(vma.backing.kind).toBe('none');
});

test('one that is a page is mapped where it lies', () => {
  const vma = area();
  mapDoorbell(device(0xe000_0000, 0x1000), vma);
  expect(vma.backing).toEqual({ kind: 'io', pa: 0xe000_0000, size: 0x1000 });
});
