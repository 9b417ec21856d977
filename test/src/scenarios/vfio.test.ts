import { covers } from '@vdpalab/testing';
import {
  MAP_ANONYMOUS, MAP_PRIVATE, PCI_COMMAND, PCI_COMMAND_MASTER, PCI_VENDOR_ID, POLLIN, PROT_READ, PROT_WRITE, VFIO_DEVICE_FLAGS_PCI, VFIO_DEVICE_FLAGS_RESET,
  VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, VFIO_GROUP_FLAGS_CONTAINER_SET, VFIO_GROUP_FLAGS_VIABLE, VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_DATA_NONE, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_TYPE1v2_IOMMU,
} from '@vdpalab/uapi';
import { VfioContainerFile, VfioGroupFile } from '@vdpalab/user';
import { describe, expect, it } from 'vitest';
import { bindVfio, groupOf, openVfio, unbindVfio, vfioWorld } from '../support/index.ts';

describe('a virtual function over VFIO', () => {
  it('is bound, opened, mapped, read, interrupts, resets, and comes back as it was', async () => {
    covers('2.12.1', '2.12.4', '2.12.7', '2.13.1', '2.13.2', '2.13.3');
    const world = await vfioWorld({ vfs: 1 });
    const { lab } = world;
    const bdf = world.vf(0);
    await lab.user(async (p) => {
      await bindVfio(p, bdf);
      const n = await groupOf(p, bdf);
      expect((await p.readdir('/dev/vfio')).map(({ name }) => name).toSorted()).toEqual([String(n), 'vfio'].toSorted());
      const container = await VfioContainerFile.open(p);
      expect(await container.apiVersion()).toBe(0);
      const group = await VfioGroupFile.open(p, n);
      expect(await group.status()).toBe(VFIO_GROUP_FLAGS_VIABLE);
      await group.setContainer(container.fd);
      expect(await group.status()).toBe(VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
      await container.setIommu(VFIO_TYPE1v2_IOMMU);
      const device = await group.device(bdf);
      expect(await device.info()).toMatchObject({ flags: VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET, num_regions: 9, num_irqs: 5 });

      const va = await p.mmap(0x4000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
      await container.mapDma(BigInt(va), 0x10_0000n, 0x4000n, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
      const rid = 0x702;
      p.proc.mm.write(va, Uint8Array.of(1, 2, 3, 4));
      const bytes = new Uint8Array(4);
      lab.hw.dmaPort(rid).read(0x10_0000, 4, bytes);
      expect([...bytes]).toEqual([1, 2, 3, 4]);

      expect(await device.load(VFIO_PCI_CONFIG_REGION_INDEX, PCI_VENDOR_ID, 2)).toBe(0x1af4);
      await device.store(VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
      const vectors = await device.irqInfo(VFIO_PCI_MSIX_IRQ_INDEX);
      expect(vectors.count).toBeGreaterThan(1);
      const fd = p.eventfd();
      expect(await device.setTriggers(VFIO_PCI_MSIX_IRQ_INDEX, [fd])).toBe(0);
      await device.setIrqs(VFIO_PCI_MSIX_IRQ_INDEX, 0, 1, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER);
      expect(await p.poll([{ fd, events: POLLIN }], 0)).toEqual([POLLIN]);
      await device.disableIrqs(VFIO_PCI_MSIX_IRQ_INDEX);
      await device.reset();
      expect(await container.unmapDma(0x10_0000n, 0x4000n)).toBe(0x4000n);
      await device.close();
      await group.close();
      await container.close();
      await p.close(fd);
      await unbindVfio(p, bdf);
    });
    expect(world.complaints()).toEqual([]);
    expect(await world.close()).toEqual([]);
  });

  it('goes with its process, whatever it held', async () => {
    const world = await vfioWorld({ vfs: 1 });
    await world.lab.user(async (p) => {
      await bindVfio(p, world.vf(0));
      const { container, device } = await openVfio(p, world.vf(0));
      const va = await p.mmap(0x4000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
      await container.mapDma(BigInt(va), 0n, 0x4000n, VFIO_DMA_MAP_FLAG_READ);
      await device.setTriggers(VFIO_PCI_MSIX_IRQ_INDEX, [p.eventfd(), p.eventfd()]);
      await device.map(4, 0, 4096, PROT_READ | PROT_WRITE);
    });
    await world.lab.user((p) => unbindVfio(p, world.vf(0)));
    expect(await world.close()).toEqual([]);
  });
});
