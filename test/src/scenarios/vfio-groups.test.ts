/** Groups that share a container: with hardware, with drivers that translate, and both. */
import type { Lab, UserProcess } from '@vdpalab/lab';
import { covers, errnoOf } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { dirtyBitmap, dirtyPages, VfioContainerFile, VfioGroupFile } from '@vdpalab/user';
import type { VfioDevice, VfioDeviceOps } from '@vdpalab/vfio';
import { describe, expect, it } from 'vitest';
import { goesAsWritten } from '../support/goes-as-written.ts';
import { bindVfio, groupOf, openVfio, unbindVfio, vfioWorld, type World } from '../support/index.ts';

const RW = uapi.VFIO_DMA_MAP_FLAG_READ | uapi.VFIO_DMA_MAP_FLAG_WRITE;
const TOY: VfioDeviceOps = { name: 'toy', dma_unmap: async () => undefined };

/** What a function reads by DMA. */
function dma(lab: Lab, rid: number, at: number): number[] {
  const bytes = new Uint8Array(2);
  lab.hw.dmaPort(rid).read(at, 2, bytes);
  return [...bytes];
}

/** A world with both functions bound, and a task in it. */
async function withPair(body: (p: UserProcess, world: World) => Promise<void>): Promise<void> {
  const world = await vfioWorld({ vfs: 2 });
  await world.lab.user(async (p) => {
    for (const vf of [0, 1]) await bindVfio(p, world.vf(vf));
    await body(p, world);
  });
  await world.lab.user(async (p) => {
    for (const vf of [0, 1]) await unbindVfio(p, world.vf(vf));
  });
  expect(await world.close()).toEqual([]);
}

/** Run with a device of a driver that translates itself; its group's number is given. */
async function withToy(lab: Lab, body: (vdev: VfioDevice, group: number) => Promise<void>): Promise<void> {
  const dev = lab.symbol('device_initialize')({ name: 'toy0' });
  await lab.symbol('device_add')(dev);
  const vdev = await lab.symbol('_vfio_alloc_device')(dev, TOY, null);
  await lab.symbol('vfio_register_emulated_iommu_dev')(vdev);
  await body(vdev, lab.symbol('iommu_groups')().find(({ devices }) => devices.includes(dev))?.id ?? -1);
  await lab.symbol('vfio_unregister_group_dev')(vdev);
  lab.symbol('put_device')(vdev.device);
  await lab.symbol('device_unregister')(dev);
}

const memory = async (p: UserProcess, pages: number): Promise<number> => await p.mmap(pages * 4096, uapi.PROT_READ | uapi.PROT_WRITE, uapi.MAP_PRIVATE | uapi.MAP_ANONYMOUS);

goesAsWritten('group-viability', 'a group is viable without host drivers');
goesAsWritten('dirty-tracking', 'dirty pages of hardware and of drivers that pin');

describe('a container', () => {
  it('shows its mappings to every group in it, before and after they come', () => withPair(async (p, world) => {
    covers('2.12.13');
    const { lab } = world;
    const { container, close } = await openVfio(p, world.vf(0));
    const va = await memory(p, 1);
    p.proc.mm.write(va, Uint8Array.of(7, 8));
    await container.mapDma(BigInt(va), 0x10000n, 0x1000n, RW);
    expect([dma(lab, 0x702, 0x10000), dma(lab, 0x703, 0x10000)]).toEqual([[7, 8], [0xff, 0xff]]);
    const second = await VfioGroupFile.open(p, await groupOf(p, world.vf(1)));
    await second.setContainer(container.fd);
    expect(dma(lab, 0x703, 0x10000)).toEqual([7, 8]);
    expect(p.proc.mm.locked_vm).toBe(1); // once
    await second.unsetContainer();
    expect(dma(lab, 0x703, 0x10000)).not.toEqual([7, 8]);
    await container.unmapDma(0x10000n, 0x1000n, uapi.VFIO_DMA_UNMAP_FLAG_VADDR);
    expect(await errnoOf(() => second.setContainer(container.fd))).toBe('EBUSY'); // a user address is away
    await second.close();
    await close();
    expect(p.proc.mm.locked_vm).toBe(0);
  }));

  it('pins for the first group with hardware, and lets go with the last, while a driver\'s group stays', () => withPair(async (p, world) => {
    covers('2.12.13', '2.12.14');
    const { lab } = world;
    await withToy(lab, async (vdev, toyGroup) => {
      const container = await VfioContainerFile.open(p);
      const toys = await VfioGroupFile.open(p, toyGroup);
      await toys.setContainer(container.fd);
      await container.setIommu(uapi.VFIO_TYPE1v2_IOMMU);
      const device = await toys.device('toy0');
      const group = await VfioGroupFile.open(p, await groupOf(p, world.vf(0)));
      const va = await memory(p, 4);
      p.proc.mm.write(va, Uint8Array.of(7, 8));
      await container.mapDma(BigInt(va), 0x10000n, 0x4000n, RW);
      await container.mapDma(BigInt(va), 0xfee0_0000n, 0x1000n, RW); // nothing translates: anything goes
      await lab.symbol('vfio_pin_pages')(vdev, 0x11000, 1, 3);
      expect(p.proc.mm.locked_vm).toBe(1);
      expect(await errnoOf(() => group.setContainer(container.fd))).toBe('EINVAL'); // the interrupt window is mapped
      expect([p.proc.mm.locked_vm, await group.status()]).toEqual([1, uapi.VFIO_GROUP_FLAGS_VIABLE]);
      await container.unmapDma(0xfee0_0000n, 0x1000n);
      await group.setContainer(container.fd);
      expect([p.proc.mm.locked_vm, dma(lab, 0x702, 0x10000)]).toEqual([4, [7, 8]]); // the pinned page counts once
      expect(await container.checkExtension(uapi.VFIO_UPDATE_VADDR)).toBe(0);
      await group.unsetContainer();
      expect(p.proc.mm.locked_vm).toBe(1);
      await lab.symbol('vfio_unpin_pages')(vdev, 0x11000, 1);
      expect(p.proc.mm.locked_vm).toBe(0);
      expect(await container.unmapDma(0x10000n, 0x4000n)).toBe(0x4000n);
      for (const file of [group, device, toys, container]) await file.close();
    });
  }));

  it('takes what it cannot pin for no hardware group: the join fails, and everything is as before', () => withPair(async (p, world) => {
    const { lab } = world;
    await withToy(lab, async (_, toyGroup) => {
      const container = await VfioContainerFile.open(p);
      const toys = await VfioGroupFile.open(p, toyGroup);
      await toys.setContainer(container.fd);
      await container.setIommu(uapi.VFIO_TYPE1v2_IOMMU);
      const group = await VfioGroupFile.open(p, await groupOf(p, world.vf(0)));
      const va = await memory(p, 1);
      await container.mapDma(BigInt(va), 0n, 0x1000n, RW);
      await container.mapDma(0x7000_0000_0000n, 0x1000n, 0x1000n, RW); // memory of nobody
      expect(await errnoOf(() => group.setContainer(container.fd))).toBe('EFAULT');
      expect(p.proc.mm.locked_vm).toBe(0);
      await container.unmapDma(0x1000n, 0x1000n);
      expect(await errnoOf(() => group.setContainer(container.fd))).toBe('ok');
      for (const file of [group, toys, container]) await file.close();
    });
  }));

  it('has dirty what hardware may have written until it leaves, and then what drivers pinned', () => withPair(async (p, world) => {
    covers('2.12.18', 'F19');
    const { lab } = world;
    await withToy(lab, async (vdev, toyGroup) => {
      const container = await VfioContainerFile.open(p);
      const toys = await VfioGroupFile.open(p, toyGroup);
      const group = await VfioGroupFile.open(p, await groupOf(p, world.vf(0)));
      for (const one of [toys, group]) await one.setContainer(container.fd);
      await container.setIommu(uapi.VFIO_TYPE1v2_IOMMU);
      const device = await toys.device('toy0');
      await container.mapDma(BigInt(await memory(p, 8)), 0x10000n, 0x8000n, RW);
      const dirty = async (): Promise<number> => (await dirtyBitmap(p, container.fd, 0x10000n, 0x8000n))[0]!;
      await dirtyPages(p, container.fd, uapi.VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
      expect([await dirty(), await dirty()]).toEqual([0xff, 0xff]);
      await lab.symbol('vfio_pin_pages')(vdev, 0x11000, 1, 3);
      await group.unsetContainer();
      expect(await dirty()).toBe(0xff); // what it wrote last
      expect(await dirty()).toBe(0b10);
      await lab.symbol('vfio_unpin_pages')(vdev, 0x11000, 1);
      for (const file of [group, device, toys, container]) await file.close();
    });
  }));

  it('maps device registers of another function on, unpinned and uncharged', () => withPair(async (p, world) => {
    const { container, device, close } = await openVfio(p, world.vf(0));
    let bar = 0;
    while (((await device.regionInfo(bar)).flags & uapi.VFIO_REGION_INFO_FLAG_MMAP) === 0) bar++;
    const at = await device.map(bar, 0, 4096, uapi.PROT_READ | uapi.PROT_WRITE);
    expect(await errnoOf(() => container.mapDma(BigInt(at), 0x10000n, 0x1000n, RW))).toBe('ok');
    expect(p.proc.mm.locked_vm).toBe(0);
    expect(await container.unmapDma(0x10000n, 0x1000n)).toBe(0x1000n);
    await p.munmap(at, 4096);
    await close();
  }));

  it('maps page by page where large pages are switched off', async () => {
    covers('2.12.10');
    const world = await vfioWorld({ vfs: 1 });
    await world.lab.user(async (p) => {
      await p.writeFile('/sys/module/vfio_iommu_type1/parameters/disable_hugepages', '1\n', uapi.O_WRONLY);
      await bindVfio(p, world.vf(0));
      const { container, close } = await openVfio(p, world.vf(0));
      await container.mapDma(BigInt(await memory(p, 16)), 0x10000n, 0x10000n, RW); // page by page
      expect(await container.unmapDma(0x10000n, 0x10000n)).toBe(0x10000n);
      await close();
      await unbindVfio(p, world.vf(0));
    });
    expect(await world.close()).toEqual([]);
  });
});
