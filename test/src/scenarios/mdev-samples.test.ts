/** Every ioctl of the sample drivers, refused: structs that are too short, memory that is not there, what a card has not got. */
import type { UserProcess } from '@vdpalab/lab';
import { createLab } from '@vdpalab/lab';
import { errnoOf } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { Scratch, VfioSession } from '@vdpalab/user';
import { describe, expect, it } from 'vitest';
import { modprobe } from '../support/index.ts';

const uuid = (n: number): string => `83b8f4f2-509f-382f-3c1e-e6bfe0fa100${n}`;
const BAD = 0x10; // nothing is mapped there
const UNKNOWN = 0x3b7f;
const { VFIO_IRQ_SET_DATA_NONE: NONE, VFIO_IRQ_SET_ACTION_TRIGGER: TRIGGER } = uapi;

const create = (p: UserProcess, parent: string, type: string, n: number): Promise<string> =>
  errnoOf(() => p.writeFile(`/sys/class/mdev_bus/${parent}/mdev_supported_types/${parent}-${type}/create`, uuid(n), uapi.O_WRONLY));

/** The head of a struct: its argsz, and words behind it. */
function arg(size: number, argsz: number, ...words: number[]): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes.set(new Uint8Array(Uint32Array.of(argsz, ...words).buffer));
  return bytes;
}

/** What each ioctl says to a struct of which a byte is missing, then to an index that a sample refuses. */
const ioctls = {
  VFIO_DEVICE_GET_INFO: [uapi.VFIO_DEVICE_GET_INFO, arg(20, 15)],
  VFIO_DEVICE_GET_REGION_INFO: [uapi.VFIO_DEVICE_GET_REGION_INFO, arg(32, 31)],
  VFIO_DEVICE_GET_IRQ_INFO: [uapi.VFIO_DEVICE_GET_IRQ_INFO, arg(16, 15)],
  VFIO_DEVICE_SET_IRQS: [uapi.VFIO_DEVICE_SET_IRQS, arg(20, 19, NONE | TRIGGER)],
} as const;

/** With one device of a sample open. */
async function withSample(sample: string, type: string, body: (p: UserProcess, ioctl: (cmd: number, bytes: Uint8Array | number) => Promise<string>, session: VfioSession) => Promise<void>): Promise<void> {
  const lab = await createLab({ config: { memory: '512M' } });
  await lab.user(async (p) => {
    for (const name of [sample, 'vfio_iommu_type1']) await modprobe(lab, p, name);
    expect(await create(p, sample, type, 0)).toBe('ok');
    const session = await VfioSession.open(p, [uuid(0)]);
    const scratch = await Scratch.create(p);
    const { fd } = session.devices[0]!.file;
    await body(p, (cmd, bytes) => errnoOf(() => (typeof bytes === 'number' ? p.ioctl(fd, cmd, bytes) : scratch.ioctl(fd, cmd, bytes))), session);
    await scratch.free();
    await session.close();
  });
  expect(await lab.close()).toEqual([]);
}

describe.each([['mtty', '1'], ['mdpy', 'vga'], ['mbochs', 'small']])('%s', (sample, type) => {
  it('refuses short structs, bad addresses and unknown commands', () => withSample(sample, type, async (_, ioctl) => {
    for (const [name, [cmd, short]] of Object.entries(ioctls)) expect([name, await ioctl(cmd, short)]).toEqual([name, 'EINVAL']);
    for (const cmd of [uapi.VFIO_DEVICE_GET_INFO, uapi.VFIO_DEVICE_GET_REGION_INFO, uapi.VFIO_DEVICE_GET_IRQ_INFO]) expect([cmd, await ioctl(cmd, BAD)]).toEqual([cmd, 'EFAULT']);
    expect(await ioctl(UNKNOWN, 0)).toBe('ENOTTY');
    expect(await ioctl(uapi.VFIO_DEVICE_RESET, 0)).toBe('ok');
    expect(await ioctl(uapi.VFIO_DEVICE_GET_IRQ_INFO, arg(16, 16, 0, 5))).toBe('EINVAL');
    expect(await ioctl(uapi.VFIO_DEVICE_GET_REGION_INFO, arg(32, 32, 0, 99))).toBe('EINVAL');
  }));
});

describe('a display', () => {
  it.each([['mdpy', 'vga'], ['mbochs', 'small']])('of %s has no interrupts, and memory to be shared', (sample, type) => withSample(sample, type, async (p, ioctl, { devices: [device] }) => {
    expect(await ioctl(uapi.VFIO_DEVICE_SET_IRQS, arg(20, 20, NONE | TRIGGER))).toBe('EINVAL');
    const { file } = device!;
    const { offset, size } = await file.regionInfo(0);
    const map = (len: number, flags: number, at: bigint): Promise<string> => errnoOf(async () => p.munmap(await p.mmap(len, uapi.PROT_READ, flags, file.fd, Number(at)), len));
    expect([await map(4096, uapi.MAP_SHARED, offset), await map(4096, uapi.MAP_PRIVATE, offset), await map(4096, uapi.MAP_SHARED, offset + 4096n), await map(Number(size) + 4096, uapi.MAP_SHARED, offset)])
      .toEqual(['ok', 'EINVAL', 'EINVAL', 'EINVAL']);
  }));

  it('of mdpy shows its plane as a region, and in no other way', () => withSample('mdpy', 'vga', async (_, ioctl) => {
    const { size } = uapi.vfio_device_gfx_plane_info;
    const plane = (flags: number, argsz = size): Promise<string> => ioctl(uapi.VFIO_DEVICE_QUERY_GFX_PLANE, arg(size, argsz, flags));
    const { VFIO_GFX_PLANE_TYPE_REGION: REGION, VFIO_GFX_PLANE_TYPE_DMABUF: DMABUF, VFIO_GFX_PLANE_TYPE_PROBE: PROBE } = uapi;
    expect([await plane(REGION), await plane(REGION | PROBE), await plane(DMABUF), await plane(DMABUF | PROBE), await plane(REGION, 8)]).toEqual(['ok', 'ok', 'EINVAL', 'EINVAL', 'EINVAL']);
    expect(await ioctl(uapi.VFIO_DEVICE_QUERY_GFX_PLANE, BAD)).toBe('EFAULT');
  }));

  it('of mbochs is made while there is video memory', () => withSample('mbochs', 'large', async (p) => {
    expect([await create(p, 'mbochs', 'large', 1), await create(p, 'mbochs', 'large', 2), await create(p, 'mbochs', 'large', 3), await create(p, 'mbochs', 'small', 4)]).toEqual(['ok', 'ok', 'ok', 'ENOSPC']);
  }));
});
