import { covers } from '@vdpalab/testing';
import {
  IOMMU_READ, IOMMU_WRITE, VFIO_CHECK_EXTENSION, VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_UNMAP_FLAG_ALL, VFIO_DMA_UNMAP_FLAG_VADDR, VFIO_IOMMU_DIRTY_PAGES,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP, VFIO_IOMMU_DIRTY_PAGES_FLAG_START, VFIO_TYPE1_IOMMU, VFIO_UPDATE_VADDR, vfio_iommu_type1_dirty_bitmap,
  vfio_iommu_type1_dirty_bitmap_get,
} from '@vdpalab/uapi';
import { describe, expect, test } from 'vitest';
import { boot, Client, outcome, PAGE, toy, withToy } from './testing/kernel.ts';

const RW = IOMMU_READ | IOMMU_WRITE;
/** A driver that unpins whatever it pinned when it is told to. */
const unpins = { dma_unmap: async () => undefined };

describe('pages pinned for a driver', () => {
  test('are those of the process, counted once however often they are pinned', async () => {
    covers('2.12.14', '2.12.15', '2.12.16', '1.7.33', '1.7.34', '1.9.18');
    expect(await withToy(() => unpins, async (c, { vdev }) => {
      const { k, proc } = c;
      const va = await c.memory(8);
      await c.map(va, 0x10000n, 8);
      expect(proc.mm.locked_vm).toBe(0); // nothing is pinned by mapping
      const pages = await k.vfio_pin_pages(vdev, 0x12000, 2, RW);
      expect(pages).toEqual([proc.mm.translate(va + 2 * PAGE, true), proc.mm.translate(va + 3 * PAGE, true)]);
      expect(await k.vfio_pin_pages(vdev, 0x13000, 1, RW)).toEqual([pages[1]]);
      expect(proc.mm.locked_vm).toBe(2);
      await k.vfio_unpin_pages(vdev, 0x12000, 2);
      expect(proc.mm.locked_vm).toBe(1); // the second was pinned twice
      await k.vfio_unpin_pages(vdev, 0x13000, 1);
      expect(proc.mm.locked_vm).toBe(0);
      expect(await outcome(() => k.vfio_unpin_pages(vdev, 0x13000, 1))).toBe('EINVAL');
    })).toEqual([]);
  });

  test('are refused for a reason, and none stays pinned then', async () => {
    covers('2.12.15');
    expect(await withToy(() => unpins, async (c, { vdev }) => {
      const { k, proc } = c;
      const va = await c.memory(2);
      await c.map(va, 0x10000n, 2);
      await c.map(va, 0x12000n, 1, VFIO_DMA_MAP_FLAG_READ);
      await c.map(0x7000_0000_0000, 0x20000n, 1); // of nothing: an emulated container does not look
      const pin = (iova: number, n: number, prot = RW): Promise<unknown> => outcome(() => k.vfio_pin_pages(vdev, iova, n, prot));
      expect(await pin(0x11000, 2)).toBe('EPERM'); // the second is read-only
      expect(await pin(0x12000, 2, IOMMU_READ)).toBe('EINVAL'); // nothing at the second
      expect(await pin(0x20000, 1)).toBe('EFAULT');
      expect(await pin(0x10000, 0)).toBe('EINVAL');
      expect(await pin(0x10000, 513)).toBe('E2BIG');
      expect(proc.mm.locked_vm).toBe(0);
    })).toEqual([]);
  });

  test('are not given in a container of version 1, nor to a driver that would not hear of an unmap, nor before the device is open', async () => {
    expect(await withToy(() => unpins, async ({ k }, { vdev }) => {
      expect(await outcome(() => k.vfio_pin_pages(vdev, 0, 1, RW))).toBe('EACCES');
    }, VFIO_TYPE1_IOMMU)).toEqual([]);
    expect(await withToy(() => ({}), async (c, { vdev }) => {
      await c.map(await c.memory(1), 0n, 1);
      expect(await outcome(() => c.k.vfio_pin_pages(vdev, 0, 1, RW))).toBe('EINVAL');
    })).toEqual([]);
    const kernel = await boot();
    await kernel.user(async () => {
      const t = await toy(kernel.k, 'toy0', unpins);
      expect(await outcome(() => kernel.k.vfio_pin_pages(t.vdev, 0, 1, RW))).toBe('EINVAL');
      await t.remove();
    });
    expect(kernel.leftovers()).toEqual([]);
  });

  test('are asked back before their range is unmapped', async () => {
    covers('2.12.17', '1.7.15');
    const told: string[] = [];
    expect(await withToy(({ k }, mine) => ({
      async dma_unmap(_, iova, length) {
        told.push(`0x${iova.toString(16)}+0x${length.toString(16)}`);
        await k.vfio_unpin_pages(mine().vdev, 0x11000, 1);
      },
    }), async (c, { vdev }) => {
      await c.map(await c.memory(4), 0x10000n, 4);
      await c.map(await c.memory(1), 0x20000n, 1);
      await c.k.vfio_pin_pages(vdev, 0x11000, 1, RW);
      expect(await c.unmap(0x20000n, 1)).toBe(PAGE); // none is pinned there
      expect(told).toEqual([]);
      expect(await c.unmap(0n, 0, VFIO_DMA_UNMAP_FLAG_ALL)).toBe(4 * PAGE);
      expect(told).toEqual(['0x10000+0x4000']);
      expect(c.proc.mm.locked_vm).toBe(0);
    })).toEqual([]);
  });

  test('that a driver does not give back are a bug of the kernel, after ten requests', async () => {
    let asked = 0;
    await withToy(() => ({ dma_unmap: async () => void asked++ }), async (c, { vdev }) => {
      await c.map(await c.memory(1), 0n, 1);
      await c.k.vfio_pin_pages(vdev, 0, 1, RW);
      await expect(c.unmap(0n, 1)).rejects.toThrow('kernel BUG');
      await c.k.vfio_unpin_pages(vdev, 0, 1);
    });
    expect(asked).toBe(11);
  });

  test('by number, as before Linux 6.0: any pages, their frames, a notifier, a short count', async () => {
    covers('1.7.33', '1.7.34', '1.7.35');
    const told: string[] = [];
    expect(await withToy(() => ({}), async (c, { dev }) => {
      const { k, proc } = c;
      const va = await c.memory(4);
      await c.map(va, 0x10000n, 4);
      const phys: number[] = [];
      expect(await outcome(() => k.vfio_pin_user_pfns(dev, [0x10], 1, RW, phys))).toBe('EINVAL'); // no notifier
      const notifier = async (iova: number, size: number): Promise<void> => {
        told.push(`${iova}+${size}`);
        await k.vfio_unpin_user_pfns(dev, [0x13, 0x10], 2);
      };
      k.vfio_register_notifier(dev, notifier);
      expect(() => k.vfio_register_notifier(dev, notifier)).toThrow('has a notifier');
      expect(await k.vfio_pin_user_pfns(dev, [0x13, 0x10], 2, RW, phys)).toBe(2);
      expect(phys).toEqual([proc.mm.translate(va + 3 * PAGE, true) / PAGE, proc.mm.translate(va, true) / PAGE]);
      expect(await outcome(() => k.vfio_pin_user_pfns(dev, [0x11, 0x99], 2, RW, phys))).toBe('EINVAL');
      expect(proc.mm.locked_vm).toBe(2);
      expect(await k.vfio_unpin_user_pfns(dev, [0x11, 0x10], 2)).toBe(0); // the first is not pinned
      expect(await c.unmap(0x10000n, 4)).toBe(4 * PAGE);
      expect(told).toEqual([`${0x10000}+${4 * PAGE}`]);
      k.vfio_unregister_notifier(dev, notifier);
      expect(() => k.vfio_unregister_notifier(dev, notifier)).toThrow('not its notifier');
    })).toEqual([]);
  });

  test('read and write through the mapping, as far as it allows', async () => {
    covers('2.12.16');
    expect(await withToy(() => unpins, async (c, { vdev }) => {
      const { k, proc } = c;
      const va = await c.memory(2);
      await c.map(va, 0x10000n, 1);
      await c.map(va + PAGE, 0x11000n, 1, VFIO_DMA_MAP_FLAG_READ);
      await k.vfio_dma_rw(vdev, 0x10ffe, Uint8Array.of(1, 2), true);
      expect([...proc.mm.read(va + 0xffe, 2)]).toEqual([1, 2]);
      const bytes = new Uint8Array(4);
      await k.vfio_dma_rw(vdev, 0x10ffe, bytes, false); // over both
      expect([...bytes]).toEqual([1, 2, 0, 0]);
      expect(await outcome(() => k.vfio_dma_rw(vdev, 0x11000, Uint8Array.of(1), true))).toBe('EPERM');
      expect(await outcome(() => k.vfio_dma_rw(vdev, 0x12000, bytes, false))).toBe('EINVAL');
      expect(await outcome(() => k.vfio_dma_rw(vdev, 0x10000, new Uint8Array(0), false))).toBe('EINVAL');
      expect(proc.mm.locked_vm).toBe(0);
    })).toEqual([]);
  });
});

describe('an emulated container', () => {
  test('counts as dirty what drivers pinned or wrote, and nothing else', async () => {
    covers('2.12.18', 'F19');
    expect(await withToy(() => unpins, async (c, { vdev }) => {
      const { k } = c;
      const bits = await c.memory(1);
      await c.map(await c.memory(8), 0x10000n, 8);
      const dirty = async (flags: number): Promise<number> => {
        const tail = vfio_iommu_type1_dirty_bitmap_get.encode({ iova: 0x10000n, size: 0x8000n, bitmap: { pgsize: 0x1000n, size: 8n, data: BigInt(bits) } });
        const bytes = new Uint8Array(8 + tail.length);
        bytes.set(vfio_iommu_type1_dirty_bitmap.encode({ argsz: bytes.length, flags }));
        bytes.set(tail, 8);
        await c.ioctl(c.container, VFIO_IOMMU_DIRTY_PAGES, bytes);
        return c.proc.mm.read(bits, 1)[0]!;
      };
      await k.vfio_pin_pages(vdev, 0x11000, 1, RW);
      await dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
      await k.vfio_pin_pages(vdev, 0x13000, 1, RW);
      await k.vfio_unpin_pages(vdev, 0x13000, 1);
      await k.vfio_dma_rw(vdev, 0x15000, Uint8Array.of(1), true);
      expect(await dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP)).toBe(0b101010);
      expect(await dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP)).toBe(0b10); // what is pinned may be written any time
      await k.vfio_unpin_pages(vdev, 0x11000, 1);
    })).toEqual([]);
  });

  test('maps anywhere in 64 bits, and UNMAP_ALL finds the very last page too', async () => {
    expect(await withToy(() => unpins, async (c) => {
      const va = await c.memory(1);
      await c.map(va, (1n << 64n) - 4096n, 1);
      await c.map(va, 0n, 1);
      expect(await c.unmap(0n, 0, VFIO_DMA_UNMAP_FLAG_ALL)).toBe(2 * PAGE);
    })).toEqual([]);
  });

  test('keeps user addresses as they are', async () => {
    covers('2.12.9');
    expect(await withToy(() => unpins, async (c) => {
      expect(await c.k.ksys_ioctl(c.proc, c.container, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR)).toBe(0);
      await c.map(await c.memory(1), 0n, 1);
      expect(await outcome(() => c.unmap(0n, 1, VFIO_DMA_UNMAP_FLAG_VADDR))).toBe('EBUSY');
    })).toEqual([]);
  });

  test('takes several devices, each in a group of its own, and forgets all mappings with the last', async () => {
    covers('1.7.31', '2.12.7');
    const kernel = await boot();
    await kernel.user(async (proc) => {
      const toys = [await toy(kernel.k, 'toy0', unpins), await toy(kernel.k, 'toy1', unpins)];
      const c = await Client.open(kernel.k, proc);
      const groups = [await c.join(toys[0]!.group), await c.join(toys[1]!.group)];
      await c.setIommu();
      for (const [i, group] of groups.entries()) await c.device(group, `toy${i}`);
      await c.map(await c.memory(2), 0n, 2);
      await kernel.k.vfio_pin_pages(toys[0]!.vdev, 0, 1, RW);
      expect(await kernel.k.vfio_pin_pages(toys[1]!.vdev, 0, 1, RW)).toHaveLength(1);
      await kernel.k.vfio_unpin_pages(toys[0]!.vdev, 0, 1);
      await kernel.k.vfio_unpin_pages(toys[1]!.vdev, 0, 1);
      await c.close();
      for (const t of toys) await t.remove();
    });
    expect(kernel.leftovers()).toEqual([]);
  });
});
