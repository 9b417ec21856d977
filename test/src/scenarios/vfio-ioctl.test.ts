/** Every ioctl of VFIO with at least one refusal each, as a process meets them. */
import type { UserProcess } from '@vdpalab/lab';
import { covers, errnoOf } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { Scratch, VfioContainerFile, VfioGroupFile } from '@vdpalab/user';
import { describe, expect, it } from 'vitest';
import { bindVfio, groupOf, openVfio, unbindVfio, vfioWorld, type OpenVfio, type World } from '../support/index.ts';

/** A world with function 0 bound, a task in it, and nothing left afterwards. */
async function withVf(body: (p: UserProcess, bdf: string, world: World) => Promise<void>): Promise<void> {
  const world = await vfioWorld({ vfs: 1 });
  await world.lab.user(async (p) => {
    await bindVfio(p, world.vf(0));
    await body(p, world.vf(0), world);
  });
  await world.lab.user((p) => unbindVfio(p, world.vf(0)));
  expect(await world.close()).toEqual([]);
}

const withDevice = (body: (p: UserProcess, open: OpenVfio, scratch: Scratch, world: World) => Promise<void>): Promise<void> =>
  withVf(async (p, bdf, world) => {
    const open = await openVfio(p, bdf);
    const scratch = await Scratch.create(p);
    await body(p, open, scratch, world);
    await scratch.free();
    await open.close();
  });

const BAD = 0x10; // nothing is mapped there

describe('a container', () => {
  it('answers before it has an IOMMU only what it can', () => withVf(async (p, bdf) => {
    covers('2.12.1', '2.12.2');
    const container = await VfioContainerFile.open(p);
    const extensions = [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 99];
    const yes: number[] = [];
    for (const extension of extensions) if ((await container.checkExtension(extension)) > 0) yes.push(extension);
    expect(yes).toEqual([uapi.VFIO_TYPE1_IOMMU, uapi.VFIO_TYPE1v2_IOMMU, uapi.VFIO_TYPE1_NESTING_IOMMU, uapi.VFIO_UNMAP_ALL]);
    for (const cmd of [uapi.VFIO_IOMMU_GET_INFO, uapi.VFIO_IOMMU_MAP_DMA, uapi.VFIO_IOMMU_UNMAP_DMA, uapi.VFIO_IOMMU_DIRTY_PAGES, 0x3b00]) {
      expect(await errnoOf(() => p.ioctl(container.fd, cmd))).toBe('EINVAL');
    }
    expect(await errnoOf(() => container.setIommu(uapi.VFIO_TYPE1v2_IOMMU))).toBe('EINVAL'); // no group
    const group = await VfioGroupFile.open(p, await groupOf(p, bdf));
    await group.setContainer(container.fd);
    expect(await errnoOf(() => container.setIommu(uapi.VFIO_SPAPR_TCE_IOMMU))).toBe('ENODEV');
    expect(await errnoOf(() => container.setIommu(uapi.VFIO_NOIOMMU_IOMMU))).toBe('ENODEV');
    expect(await errnoOf(() => container.setIommu(uapi.VFIO_TYPE1v2_IOMMU))).toBe('ok');
    expect(await errnoOf(() => container.setIommu(uapi.VFIO_TYPE1v2_IOMMU))).toBe('EINVAL');
    expect(await container.checkExtension(uapi.VFIO_UPDATE_VADDR)).toBe(1);
    expect(await container.checkExtension(uapi.VFIO_DMA_CC_IOMMU)).toBe(1);
    expect(await errnoOf(() => p.ioctl(container.fd, uapi.VFIO_IOMMU_ENABLE))).toBe('ENOTTY');
    await group.unsetContainer(); // with its last group goes the IOMMU
    expect(await errnoOf(() => p.ioctl(container.fd, uapi.VFIO_IOMMU_GET_INFO))).toBe('EINVAL');
    await group.close();
    await container.close();
  }));

  it('of type 1 refuses mappings that are wrong, each for its reason', () => withDevice(async (p, { container }, scratch) => {
    covers('2.12.11', '2.12.9');
    const RW = uapi.VFIO_DMA_MAP_FLAG_READ | uapi.VFIO_DMA_MAP_FLAG_WRITE;
    const va = BigInt(await p.mmap(0x8000, uapi.PROT_READ | uapi.PROT_WRITE, uapi.MAP_PRIVATE | uapi.MAP_ANONYMOUS));
    const ro = BigInt(await p.mmap(0x1000, uapi.PROT_READ, uapi.MAP_PRIVATE | uapi.MAP_ANONYMOUS));
    const table: readonly [string, bigint, bigint, bigint, number, string][] = [
      ['a mapping', va, 0x10000n, 0x4000n, RW, 'ok'],
      ['the same again', va, 0x10000n, 0x4000n, RW, 'EEXIST'],
      ['one that overlaps its end', va, 0x13000n, 0x1000n, RW, 'EEXIST'],
      ['one behind it', va, 0x14000n, 0x1000n, RW, 'ok'],
      ['no bytes', va, 0x20000n, 0n, RW, 'EINVAL'],
      ['half a page', va, 0x20000n, 0x800n, RW, 'EINVAL'],
      ['a misaligned address', va, 0x20800n, 0x1000n, RW, 'EINVAL'],
      ['misaligned memory', va + 8n, 0x20000n, 0x1000n, RW, 'EINVAL'],
      ['addresses that wrap', va, (1n << 64n) - 0x1000n, 0x2000n, RW, 'EINVAL'],
      ['memory that wraps', (1n << 64n) - 0x1000n, 0x20000n, 0x2000n, RW, 'EINVAL'],
      ['no permission', va, 0x20000n, 0x1000n, 0, 'EINVAL'],
      ['an unknown flag', va, 0x20000n, 0x1000n, RW | 8, 'EINVAL'],
      ['permission with VADDR', va, 0x20000n, 0x1000n, RW | uapi.VFIO_DMA_MAP_FLAG_VADDR, 'EINVAL'],
      ['beyond the aperture', va, 1n << 48n, 0x1000n, RW, 'EINVAL'],
      ['the interrupt window', va, 0xfee0_0000n, 0x1000n, RW, 'EINVAL'],
      ['over the interrupt window', va, 0xfedf_f000n, 0x2000n, RW, 'EINVAL'],
      ['unmapped memory', 0x7000_0000_0000n, 0x20000n, 0x1000n, RW, 'EFAULT'],
      ['memory with a hole behind', va + 0x7000n, 0x20000n, 0x100_0000n, RW, 'EFAULT'],
      ['read-only memory to be written', ro, 0x20000n, 0x1000n, RW, 'EFAULT'],
      ['read-only memory to be read', ro, 0x20000n, 0x1000n, uapi.VFIO_DMA_MAP_FLAG_READ, 'ok'],
      ['a new address where nothing is', va, 0x30000n, 0x1000n, uapi.VFIO_DMA_MAP_FLAG_VADDR, 'ENOENT'],
      ['a new address that nobody took away', va, 0x10000n, 0x4000n, uapi.VFIO_DMA_MAP_FLAG_VADDR, 'EINVAL'],
    ];
    for (const [what, vaddr, iova, size, flags, expected] of table) {
      expect([what, await errnoOf(() => container.mapDma(vaddr, iova, size, flags))]).toEqual([what, expected]);
    }
    expect(p.proc.mm.locked_vm).toBe(4 + 1 + 1);
    const short = uapi.vfio_iommu_type1_dma_map.encode({ argsz: 31, flags: RW, vaddr: va, iova: 0x40000n, size: 0x1000n });
    expect(await errnoOf(() => scratch.ioctl(container.fd, uapi.VFIO_IOMMU_MAP_DMA, short))).toBe('EINVAL');
    expect(await errnoOf(() => p.ioctl(container.fd, uapi.VFIO_IOMMU_MAP_DMA, BAD))).toBe('EFAULT');
  }));

  it('unmaps whole mappings only, and says how much', () => withDevice(async (p, { container }) => {
    covers('2.12.12');
    const va = BigInt(await p.mmap(0x8000, uapi.PROT_READ | uapi.PROT_WRITE, uapi.MAP_PRIVATE | uapi.MAP_ANONYMOUS));
    for (const at of [0x10000n, 0x12000n, 0x18000n]) await container.mapDma(va, at, 0x2000n, uapi.VFIO_DMA_MAP_FLAG_READ);
    const unmap = async (iova: bigint, size: bigint, flags = 0): Promise<string> => {
      let unmapped = 0n;
      const result = await errnoOf(async () => {
        unmapped = await container.unmapDma(iova, size, flags);
      });
      return result === 'ok' ? `0x${unmapped.toString(16)}` : result;
    };
    const { VFIO_DMA_UNMAP_FLAG_ALL: ALL, VFIO_DMA_UNMAP_FLAG_VADDR: VADDR, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP: BITS } = uapi;
    expect(await unmap(0x11000n, 0x1000n)).toBe('EINVAL'); // cuts the first
    expect(await unmap(0x10000n, 0x1000n)).toBe('EINVAL');
    expect(await unmap(0x10000n, 0x3000n)).toBe('EINVAL'); // cuts the second
    expect(await unmap(0x10000n, 0n)).toBe('EINVAL');
    expect(await unmap(0x10000n, 0x800n)).toBe('EINVAL');
    expect(await unmap(0x10800n, 0x1000n)).toBe('EINVAL');
    expect(await unmap((1n << 64n) - 0x1000n, 0x2000n)).toBe('EINVAL');
    expect(await unmap(0n, 0x1000n, ALL)).toBe('EINVAL');
    expect(await unmap(0n, 0n, 8)).toBe('EINVAL');
    expect(await unmap(0x10000n, 0x2000n, BITS | ALL)).toBe('EINVAL');
    expect(await unmap(0x10000n, 0x2000n, BITS)).toBe('EINVAL'); // no bitmap follows
    expect(await unmap(0x50000n, 0x1000n)).toBe('0x0');
    expect(await unmap(0x10000n, 0x4000n)).toBe('0x4000');
    expect(await unmap(0x18000n, 0x2000n, VADDR)).toBe('0x2000');
    expect(await unmap(0x18000n, 0x2000n, VADDR)).toBe('EINVAL');
    await container.mapDma(va + 0x2000n, 0x18000n, 0x2000n, uapi.VFIO_DMA_MAP_FLAG_VADDR);
    expect(await unmap(0n, 0n, ALL)).toBe('0x2000');
    expect(p.proc.mm.locked_vm).toBe(0);
    expect(await errnoOf(() => p.ioctl(container.fd, uapi.VFIO_IOMMU_UNMAP_DMA, BAD))).toBe('EFAULT');
  }));

  it('of version 1 unmaps what a range begins, and nothing it only touches', () => withVf(async (p, bdf) => {
    const { container, close } = await openVfio(p, bdf, uapi.VFIO_TYPE1_IOMMU);
    const va = BigInt(await p.mmap(0x8000, uapi.PROT_READ | uapi.PROT_WRITE, uapi.MAP_PRIVATE | uapi.MAP_ANONYMOUS));
    await container.mapDma(va, 0x10000n, 0x4000n, uapi.VFIO_DMA_MAP_FLAG_READ);
    expect(await container.unmapDma(0x11000n, 0x1000n)).toBe(0n);
    expect(await container.unmapDma(0x10000n, 0x1000n)).toBe(0x4000n);
    expect(await errnoOf(() => p.ioctl(container.fd, uapi.VFIO_IOMMU_DIRTY_PAGES, 0))).toBe('EACCES');
    await close();
  }));

  it('locks no more memory than the process may, and counts it back', async () => {
    const world = await vfioWorld({ vfs: 1 });
    const { lab } = world;
    await lab.user(async (p) => {
      await bindVfio(p, world.vf(0));
      await p.chmod(`/dev/vfio/${await groupOf(p, world.vf(0))}`, 0o666);
    });
    const user = await lab.process('poor', { uid: 1000, caps: [] });
    user.proc.rlimits.set(uapi.RLIMIT_MEMLOCK, 0x3000);
    await lab.as(user, async (p) => {
      const { container, close } = await openVfio(p, world.vf(0));
      const va = BigInt(await p.mmap(0x8000, uapi.PROT_READ | uapi.PROT_WRITE, uapi.MAP_PRIVATE | uapi.MAP_ANONYMOUS));
      const map = (iova: bigint, size: bigint): Promise<string> => errnoOf(() => container.mapDma(va, iova, size, uapi.VFIO_DMA_MAP_FLAG_READ));
      expect([await map(0n, 0x2000n), await map(0x2000n, 0x2000n), await map(0x2000n, 0x1000n), await map(0x3000n, 0x1000n)]).toEqual(['ok', 'ENOMEM', 'ok', 'ENOMEM']);
      expect(user.proc.mm.locked_vm).toBe(3);
      await container.unmapDma(0n, 0x2000n);
      expect(await map(0x3000n, 0x1000n)).toBe('ok');
      await close();
    });
    expect(user.proc.mm.locked_vm).toBe(0);
    expect(world.dmesg().filter(({ level }) => level === 4).map(({ text }) => text)).toContain('vfio_pin_pages_remote: RLIMIT_MEMLOCK (12288) exceeded');
    await lab.exitProcess(user);
    await lab.user((p) => unbindVfio(p, world.vf(0)));
    expect(await world.close()).toEqual([]);
  });

  it('holds as many mappings as dma_entry_limit says', () => withVf(async (p, bdf) => {
    covers('2.12.10');
    await p.writeFile('/sys/module/vfio_iommu_type1/parameters/dma_entry_limit', '2\n', uapi.O_WRONLY);
    const { container, close } = await openVfio(p, bdf);
    const va = BigInt(await p.mmap(0x1000, uapi.PROT_READ | uapi.PROT_WRITE, uapi.MAP_PRIVATE | uapi.MAP_ANONYMOUS));
    const map = (iova: bigint): Promise<string> => errnoOf(() => container.mapDma(va, iova, 0x1000n, uapi.VFIO_DMA_MAP_FLAG_READ));
    expect([await map(0n), await map(0x1000n), await map(0x2000n)]).toEqual(['ok', 'ok', 'ENOSPC']);
    await container.unmapDma(0n, 0x1000n);
    expect(await map(0x2000n)).toBe('ok');
    await close();
  }));

  it('tells its page sizes, usable addresses and room for mappings', () => withDevice(async (p, { container }, scratch) => {
    covers('2.12.19', '2.12.10');
    const bytes = await container.iommuInfo();
    const info = uapi.vfio_iommu_type1_info.decode(bytes);
    expect(info).toMatchObject({ flags: uapi.VFIO_IOMMU_INFO_PGSIZES | uapi.VFIO_IOMMU_INFO_CAPS, iova_pgsizes: 0x4020_1000n, cap_offset: 24 });
    const seen: Record<number, unknown> = {};
    for (let at = info.cap_offset; at !== 0; at = uapi.vfio_info_cap_header.decode(bytes, at).next) {
      const { id } = uapi.vfio_info_cap_header.decode(bytes, at);
      if (id === uapi.VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION) {
        const { pgsize_bitmap, max_dirty_bitmap_size } = uapi.vfio_iommu_type1_info_cap_migration.decode(bytes, at);
        seen[id] = { pgsize_bitmap, max_dirty_bitmap_size };
      } else if (id === uapi.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL) {
        seen[id] = uapi.vfio_iommu_type1_info_dma_avail.decode(bytes, at).avail;
      } else {
        const { nr_iovas } = uapi.vfio_iommu_type1_info_cap_iova_range.decode(bytes, at);
        const from = at + uapi.vfio_iommu_type1_info_cap_iova_range.size;
        seen[id] = Array.from({ length: nr_iovas }, (_, i) => uapi.vfio_iova_range.decode(bytes, from + i * uapi.vfio_iova_range.size));
      }
    }
    expect(seen).toEqual({
      [uapi.VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION]: { pgsize_bitmap: 0x1000n, max_dirty_bitmap_size: 1n << 28n },
      [uapi.VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL]: 65535,
      [uapi.VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE]: [{ start: 0n, end: 0xfedf_ffffn }, { start: 0xfef0_0000n, end: 0x7f_ffff_ffffn }],
    });
    const small = uapi.vfio_iommu_type1_info.encode({ argsz: 20 });
    expect(uapi.vfio_iommu_type1_info.decode(await scratch.ioctl(container.fd, uapi.VFIO_IOMMU_GET_INFO, small))).toMatchObject({ cap_offset: 0, argsz: 24 + 32 + 12 + 16 + 32 });
    expect(await errnoOf(() => scratch.ioctl(container.fd, uapi.VFIO_IOMMU_GET_INFO, uapi.vfio_iommu_type1_info.encode({ argsz: 15 })))).toBe('EINVAL');
    expect(await errnoOf(() => p.ioctl(container.fd, uapi.VFIO_IOMMU_GET_INFO, BAD))).toBe('EFAULT');
  }));

  it('tracks dirty pages: all of a mapping that a function can write, again and again', () => withDevice(async (p, { container }, scratch) => {
    covers('2.12.18');
    const page = await p.mmap(0x4000, uapi.PROT_READ | uapi.PROT_WRITE, uapi.MAP_PRIVATE | uapi.MAP_ANONYMOUS);
    const data = await p.mmap(0x1000, uapi.PROT_READ | uapi.PROT_WRITE, uapi.MAP_PRIVATE | uapi.MAP_ANONYMOUS);
    await container.mapDma(BigInt(page), 0x10000n, 0x3000n, uapi.VFIO_DMA_MAP_FLAG_WRITE);
    await container.mapDma(BigInt(page), 0x20000n, 0x1000n, uapi.VFIO_DMA_MAP_FLAG_WRITE);
    const { size: head } = uapi.vfio_iommu_type1_dirty_bitmap;
    const dirty = (flags: number, get?: { iova: bigint; size: bigint; pgsize?: bigint; bytes?: bigint; at?: bigint }): Promise<string> => {
      const tail = get === undefined ? new Uint8Array(0) : uapi.vfio_iommu_type1_dirty_bitmap_get.encode({
        iova: get.iova, size: get.size, bitmap: { pgsize: get.pgsize ?? 0x1000n, size: get.bytes ?? 8n, data: get.at ?? BigInt(data) },
      });
      const bytes = new Uint8Array(head + tail.length);
      bytes.set(uapi.vfio_iommu_type1_dirty_bitmap.encode({ argsz: bytes.length, flags }));
      bytes.set(tail, head);
      return errnoOf(() => scratch.ioctl(container.fd, uapi.VFIO_IOMMU_DIRTY_PAGES, bytes));
    };
    const { VFIO_IOMMU_DIRTY_PAGES_FLAG_START: START, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP: STOP, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP: GET } = uapi;
    const bits = (): number[] => [...p.proc.mm.read(data, 8)];
    expect(await dirty(GET, { iova: 0x10000n, size: 0x3000n })).toBe('EINVAL'); // not started
    expect([await dirty(0), await dirty(START | STOP), await dirty(8), await dirty(GET)]).toEqual(['EINVAL', 'EINVAL', 'EINVAL', 'EINVAL']);
    expect([await dirty(START), await dirty(START)]).toEqual(['ok', 'ok']);
    expect(await dirty(GET, { iova: 0x10000n, size: 0x3000n, pgsize: 0x2000n })).toBe('EINVAL');
    expect(await dirty(GET, { iova: 0x10000n, size: 0x2000n })).toBe('EINVAL'); // cuts the mapping
    expect(await dirty(GET, { iova: 0x10000n, size: 0x3000n, bytes: 4n })).toBe('EINVAL');
    expect(await dirty(GET, { iova: 0x10800n, size: 0x3000n })).toBe('EINVAL');
    expect(await dirty(GET, { iova: 0x10000n, size: 0x3000n, at: BigInt(BAD) })).toBe('EFAULT');
    expect(await dirty(GET, { iova: 0x10000n, size: 0x3000n })).toBe('ok');
    expect(bits()).toEqual([0b111, 0, 0, 0, 0, 0, 0, 0]);
    expect(await dirty(GET, { iova: 0x10000n, size: 0x11000n })).toBe('ok');
    expect(bits()).toEqual([0b111, 0, 1, 0, 0, 0, 0, 0]);
    p.proc.mm.write(data, new Uint8Array(8));
    expect(await dirty(GET, { iova: 0x40000n, size: 0x1000n })).toBe('ok'); // nothing there: untouched
    expect(bits()).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    const withBits = new Uint8Array(uapi.vfio_iommu_type1_dma_unmap.size + uapi.vfio_bitmap.size);
    withBits.set(uapi.vfio_iommu_type1_dma_unmap.encode({ argsz: withBits.length, flags: uapi.VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, iova: 0x20000n, size: 0x1000n }));
    withBits.set(uapi.vfio_bitmap.encode({ pgsize: 0x1000n, size: 8n, data: BigInt(data) }), uapi.vfio_iommu_type1_dma_unmap.size);
    expect(await errnoOf(() => scratch.ioctl(container.fd, uapi.VFIO_IOMMU_UNMAP_DMA, withBits))).toBe('ok');
    expect(bits()).toEqual([1, 0, 0, 0, 0, 0, 0, 0]);
    expect([await dirty(STOP), await dirty(STOP)]).toEqual(['ok', 'ok']);
    expect(await dirty(GET, { iova: 0x10000n, size: 0x3000n })).toBe('EINVAL');
  }));
});

describe('a group', () => {
  it('opens once, enters one container, and stays while a device is open', () => withVf(async (p, bdf) => {
    covers('2.12.3', '2.12.5', '2.12.6');
    const n = await groupOf(p, bdf);
    const group = await VfioGroupFile.open(p, n);
    const container = await VfioContainerFile.open(p);
    expect(await errnoOf(() => VfioGroupFile.open(p, n))).toBe('EBUSY');
    expect(await errnoOf(() => group.device(bdf))).toBe('EINVAL'); // no container
    expect(await errnoOf(() => group.unsetContainer())).toBe('EINVAL');
    expect(await errnoOf(() => group.setContainer(99))).toBe('EBADF');
    expect(await errnoOf(() => group.setContainer(group.fd))).toBe('EINVAL');
    expect(await errnoOf(() => p.ioctl(group.fd, uapi.VFIO_GROUP_SET_CONTAINER, BAD))).toBe('EFAULT');
    expect(await errnoOf(() => p.ioctl(group.fd, uapi.VFIO_GROUP_GET_STATUS, BAD))).toBe('EFAULT');
    expect(await errnoOf(() => p.ioctl(group.fd, uapi.VFIO_GET_API_VERSION))).toBe('ENOTTY');
    await group.setContainer(container.fd);
    expect(await errnoOf(() => group.setContainer(container.fd))).toBe('EINVAL');
    expect(await errnoOf(() => group.device(bdf))).toBe('EINVAL'); // no IOMMU
    await container.setIommu(uapi.VFIO_TYPE1v2_IOMMU);
    expect(await errnoOf(() => group.device('0000:00:00.0'))).toBe('ENODEV');
    expect(await errnoOf(() => group.device(`${bdf}x`))).toBe('ENODEV');
    expect(await errnoOf(() => group.device(`${bdf} nonsense=1`))).toBe('EINVAL');
    expect(await errnoOf(() => group.device(`${bdf} vf_token=2ab74924-c335-45f4-9b16-8569e5b08258`))).toBe('EINVAL'); // the PF is not VFIO's
    expect(await errnoOf(() => p.ioctl(group.fd, uapi.VFIO_GROUP_GET_DEVICE_FD, BAD))).toBe('EFAULT');
    const device = await group.device(bdf);
    const second = await group.device(bdf);
    expect(await errnoOf(() => group.unsetContainer())).toBe('EBUSY');
    await group.close();
    expect(await errnoOf(() => VfioGroupFile.open(p, n))).toBe('EBUSY'); // its devices hold it
    await second.close();
    const at = await device.map(4, 0, 4096, uapi.PROT_READ);
    await device.close();
    expect(await errnoOf(() => VfioGroupFile.open(p, n))).toBe('EBUSY'); // a mapping does
    await p.munmap(at, 4096);
    const again = await VfioGroupFile.open(p, n);
    await again.close();
    await container.close();
  }));

  it('is not viable while a host driver has a member, and the other way round', async () => {
    covers('F20');
    const world = await vfioWorld({ vfs: 1, modules: ['vfio_pci', 'pci_pf_stub', 'ifcvf'] });
    const bdf = world.vf(0);
    await world.lab.user(async (p) => {
      await bindVfio(p, bdf);
      const { close } = await openVfio(p, bdf);
      // While user space owns the DMA no host driver may come.
      await p.writeFile(`/sys/bus/pci/devices/${bdf}/driver_override`, 'ifcvf\n', uapi.O_WRONLY);
      expect(await errnoOf(() => p.writeFile('/sys/bus/pci/drivers/ifcvf/bind', `${bdf}\n`, uapi.O_WRONLY))).toBe('EBUSY');
      await close();
      await unbindVfio(p, bdf);
    });
    expect(await world.close()).toEqual([]);
  });

  it('goes with its last device while only its file is open, which says so from then on', async () => {
    covers('2.12.8');
    const world = await vfioWorld({ vfs: 1 });
    const { lab } = world;
    await lab.user((p) => bindVfio(p, world.vf(0)));
    const holder = await lab.process('holder');
    const open = await lab.as(holder, async (p) => {
      const group = await VfioGroupFile.open(p, await groupOf(p, world.vf(0)));
      const container = await VfioContainerFile.open(p);
      await group.setContainer(container.fd);
      await container.setIommu(uapi.VFIO_TYPE1v2_IOMMU);
      return { group, container };
    });
    await lab.user((p) => unbindVfio(p, world.vf(0)));
    await lab.as(holder, async (p) => {
      expect((await p.readdir('/dev/vfio')).map(({ name }) => name)).toEqual(['vfio']);
      expect(await errnoOf(() => open.group.status())).toBe('ENODEV');
      expect(await errnoOf(() => open.group.setContainer(open.container.fd))).toBe('ENODEV');
      expect(await errnoOf(() => open.group.device(world.vf(0)))).toBe('ENODEV');
      expect(await errnoOf(() => open.container.iommuInfo())).toBe('EINVAL');
      await open.group.close();
      await open.container.close();
    });
    await lab.exitProcess(holder);
    expect(await world.close()).toEqual([]);
  });

  it('keeps who unbinds waiting even when a signal comes, and says who waits', async () => {
    const world = await vfioWorld({ vfs: 1 });
    const { lab } = world;
    await lab.user((p) => bindVfio(p, world.vf(0)));
    const [holder, admin] = [await lab.process('holder'), await lab.process('admin')];
    const open = await lab.as(holder, (p) => openVfio(p, world.vf(0)));
    const done: string[] = [];
    lab.start(admin, 'unbind', async (p) => {
      p.sigaction(uapi.SIGINT, () => void done.push('caught'));
      await unbindVfio(p, world.vf(0));
      done.push('unbound');
    });
    await lab.run();
    await lab.as(holder, async (p) => p.kill(admin.pid, uapi.SIGINT));
    await lab.run();
    expect(done).toEqual([]);
    expect(world.dmesg().map(({ text }) => text)).toContainEqual(expect.stringContaining(`${world.vf(0)}: Device is currently in use, task "admin" (${admin.pid}) blocked until device is released`));
    await lab.as(holder, () => open.close());
    await lab.run();
    expect(done).toEqual(['caught', 'unbound']);
    await lab.exitProcess(holder);
    await lab.exitProcess(admin);
    expect(await world.close()).toEqual([]);
  });

  it('keeps the driver while a device is open: unbinding asks for the close, and waits', async () => {
    covers('2.12.8');
    const world = await vfioWorld({ vfs: 1 });
    const { lab } = world;
    await lab.user((p) => bindVfio(p, world.vf(0)));
    const holder = await lab.process('holder');
    const open = await lab.as(holder, (p) => openVfio(p, world.vf(0)));
    const admin = await lab.process('admin');
    const done: string[] = [];
    lab.start(admin, 'unbind', async (p) => {
      await unbindVfio(p, world.vf(0));
      done.push('unbound');
    });
    expect((await lab.run()).kind).toBe('blocked');
    expect(world.dmesg().map(({ text }) => text)).toContain(`vfio-pci ${world.vf(0)}: No device request channel registered, blocked until released by user`);
    expect(done).toEqual([]);
    await lab.as(holder, async () => {
      expect(await errnoOf(() => open.device.reset())).toBe('EAGAIN'); // the remover has the device lock
      await open.close();
    });
    await lab.run();
    expect(done).toEqual(['unbound']);
    // With an eventfd for it, user space is asked.
    await lab.user((p) => bindVfio(p, world.vf(0)));
    const polite = await lab.as(holder, async (p) => {
      const opened = await openVfio(p, world.vf(0));
      const fd = p.eventfd();
      await opened.device.setTriggers(uapi.VFIO_PCI_REQ_IRQ_INDEX, [fd]);
      return { ...opened, fd };
    });
    lab.start(admin, 'unbind again', (p) => unbindVfio(p, world.vf(0)));
    lab.start(holder, 'closer', async (p) => {
      await p.read(polite.fd, 8);
      await polite.close();
      done.push('closed when asked');
    });
    await lab.run();
    expect(done).toEqual(['unbound', 'closed when asked']);
    expect(world.dmesg().map(({ text }) => text)).toContain(`vfio-pci ${world.vf(0)}: Relaying device request to user (#0)`);
    await lab.exitProcess(holder);
    await lab.exitProcess(admin);
    expect(await world.close()).toEqual([]);
  });
});

describe('a device', () => {
  it('tells of itself, its regions and its interrupts', () => withDevice(async (p, { device }, scratch) => {
    covers('2.13.1', '2.13.2', '2.13.3');
    const regions = [];
    for (let index = 0; index < 9; index++) {
      const { flags, size, offset } = index === 8 ? { flags: 0, size: 0n, offset: 8n << 40n } : await device.regionInfo(index);
      expect(offset).toBe(BigInt(index) << 40n);
      regions.push([index, flags, size]);
    }
    const { VFIO_REGION_INFO_FLAG_READ: R, VFIO_REGION_INFO_FLAG_WRITE: W, VFIO_REGION_INFO_FLAG_MMAP: M, VFIO_REGION_INFO_FLAG_CAPS: C } = uapi;
    const present = regions.filter(([, , size]) => size !== 0n);
    expect(present.map(([index, flags]) => [index, flags])).toContainEqual([7, R | W]);
    const msix = present.filter(([, flags]) => ((flags as number) & C) !== 0);
    expect(msix).toHaveLength(1);
    expect(msix[0]?.[1]).toBe(R | W | M | C);
    const bytes = await device.regionInfoBytes(msix[0]?.[0] as number);
    expect(uapi.vfio_info_cap_header.decode(bytes, uapi.vfio_region_info.decode(bytes).cap_offset)).toEqual({ id: uapi.VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, version: 1, next: 0 });
    expect(await errnoOf(() => device.regionInfo(uapi.VFIO_PCI_VGA_REGION_INDEX))).toBe('EINVAL');
    expect(await errnoOf(() => device.regionInfo(9))).toBe('EINVAL');
    const irqs = [];
    for (let index = 0; index < 5; index++) irqs.push((await device.irqInfo(index)).flags);
    expect(irqs).toEqual([7, 9, 9, 9, 9]);
    expect(await errnoOf(() => device.irqInfo(5))).toBe('EINVAL');
    for (const [cmd, struct] of [
      [uapi.VFIO_DEVICE_GET_INFO, uapi.vfio_device_info], [uapi.VFIO_DEVICE_GET_REGION_INFO, uapi.vfio_region_info], [uapi.VFIO_DEVICE_GET_IRQ_INFO, uapi.vfio_irq_info],
      [uapi.VFIO_DEVICE_SET_IRQS, uapi.vfio_irq_set], [uapi.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, uapi.vfio_pci_hot_reset_info],
      [uapi.VFIO_DEVICE_PCI_HOT_RESET, uapi.vfio_pci_hot_reset], [uapi.VFIO_DEVICE_IOEVENTFD, uapi.vfio_device_ioeventfd], [uapi.VFIO_DEVICE_FEATURE, uapi.vfio_device_feature],
    ] as const) {
      expect([cmd, await errnoOf(() => scratch.ioctl(device.fd, cmd, new Uint8Array(struct.size)))]).toEqual([cmd, 'EINVAL']); // argsz 0
      expect([cmd, await errnoOf(() => p.ioctl(device.fd, cmd, BAD))]).toEqual([cmd, 'EFAULT']);
    }
    expect(await errnoOf(() => p.ioctl(device.fd, uapi.VFIO_GET_API_VERSION))).toBe('ENOTTY');
  }));

  it('takes eventfds for its vectors, all or none', () => withDevice(async (p, { device }, _, world) => {
    covers('2.13.3', '2.13.4');
    const MSIX = uapi.VFIO_PCI_MSIX_IRQ_INDEX;
    const { VFIO_IRQ_SET_DATA_NONE: NONE, VFIO_IRQ_SET_DATA_BOOL: BOOL, VFIO_IRQ_SET_DATA_EVENTFD: EVENTFD, VFIO_IRQ_SET_ACTION_TRIGGER: TRIGGER, VFIO_IRQ_SET_ACTION_MASK: MASK, VFIO_IRQ_SET_ACTION_UNMASK: UNMASK } = uapi;
    const { count } = await device.irqInfo(MSIX);
    const set = (index: number, start: number, n: number, flags: number, data?: Uint8Array): Promise<string> => errnoOf(() => device.setIrqs(index, start, n, flags, data));
    expect(await set(MSIX, 0, 1, NONE | TRIGGER)).toBe('EINVAL'); // off
    expect(await set(MSIX, 0, 0, NONE | TRIGGER)).toBe('EINVAL');
    expect(await set(MSIX, 0, 1, NONE | MASK)).toBe('ENOTTY');
    expect(await set(MSIX, 0, 1, NONE | UNMASK)).toBe('ENOTTY');
    expect(await set(MSIX, 0, 1, NONE)).toBe('ENOTTY');
    expect(await set(MSIX, 0, 1, TRIGGER)).toBe('EINVAL'); // no kind of data
    expect(await set(MSIX, 0, 1, NONE | BOOL | TRIGGER)).toBe('EINVAL');
    expect(await set(MSIX, 0, 1, EVENTFD | TRIGGER)).toBe('EINVAL'); // no data
    expect(await set(MSIX, count, 1, NONE | TRIGGER)).toBe('EINVAL');
    expect(await set(MSIX, 1, count, NONE | TRIGGER)).toBe('EINVAL');
    expect(await set(MSIX, 0, 0xffff_ffff, NONE | TRIGGER)).toBe('EINVAL');
    expect(await set(5, 0, 1, NONE | TRIGGER)).toBe('EINVAL');
    expect(await set(uapi.VFIO_PCI_MSI_IRQ_INDEX, 0, 1, NONE | TRIGGER)).toBe('EINVAL'); // has none
    expect(await set(uapi.VFIO_PCI_INTX_IRQ_INDEX, 0, 1, NONE | TRIGGER)).toBe('EINVAL'); // a virtual function has no pin
    const fds = [p.eventfd(), p.eventfd()];
    expect(await errnoOf(() => device.setTriggers(MSIX, [fds[0]!, 99]))).toBe('EBADF');
    expect(await errnoOf(() => device.setTriggers(MSIX, [fds[0]!, device.fd]))).toBe('EINVAL');
    const interrupts = (): Promise<string> => p.readFile('/proc/interrupts');
    expect(await interrupts()).not.toContain('vfio-msix'); // none stayed
    expect(await errnoOf(() => device.setTriggers(MSIX, fds))).toBe('ok');
    expect(await interrupts()).toMatch(new RegExp(`vfio-msix\\[0\\]\\(${world.vf(0)}\\)[\\s\\S]*vfio-msix\\[1\\]`));
    expect(await set(MSIX, 0, 2, BOOL | TRIGGER, Uint8Array.of(0, 1))).toBe('ok');
    expect(await p.poll(fds.map((fd) => ({ fd, events: uapi.POLLIN })), 0)).toEqual([0, uapi.POLLIN]);
    expect(await set(MSIX, 2, 1, EVENTFD | TRIGGER, Uint8Array.of(255, 255, 255, 255))).toBe('EINVAL'); // beyond those that are on
    expect(await set(MSIX, 0, 1, EVENTFD | TRIGGER, Uint8Array.of(255, 255, 255, 255))).toBe('ok');
    expect(await interrupts()).not.toContain('vfio-msix[0]');
    await device.disableIrqs(MSIX);
    expect(await interrupts()).not.toContain('vfio-msix');
    for (const index of [uapi.VFIO_PCI_ERR_IRQ_INDEX, uapi.VFIO_PCI_REQ_IRQ_INDEX]) {
      expect(await set(index, 0, 1, NONE | TRIGGER)).toBe('EINVAL'); // no eventfd yet
      expect(await set(index, 0, 1, NONE | MASK)).toBe('ENOTTY');
      expect(await errnoOf(() => device.setTriggers(index, [99]))).toBe('EBADF');
      expect(await errnoOf(() => device.setTriggers(index, [fds[0]!]))).toBe('ok');
      expect(await set(index, 0, 1, NONE | TRIGGER)).toBe('ok');
      expect(await set(index, 0, 0, NONE | TRIGGER)).toBe('ok');
      expect(await set(index, 0, 1, BOOL | TRIGGER, Uint8Array.of(1))).toBe('ok');
    }
    for (const fd of fds) await p.close(fd);
  }));

  it('reads and writes its regions, its interrupt table and configuration space hidden where they are the kernel\'s', () => withDevice(async (p, { device }) => {
    const CONFIG = uapi.VFIO_PCI_CONFIG_REGION_INDEX;
    const size = Number((await device.regionInfo(CONFIG)).size);
    expect(await errnoOf(() => device.read(CONFIG, size - 2, 4))).toBe('EFAULT');
    expect(await errnoOf(() => device.write(CONFIG, size, Uint8Array.of(0)))).toBe('EFAULT');
    expect(await errnoOf(() => device.read(5, 0, 4))).toBe('EINVAL'); // absent
    expect(await errnoOf(() => device.read(6, 0, 4))).toBe('EINVAL');
    expect(await errnoOf(() => device.write(6, 0, Uint8Array.of(0)))).toBe('EINVAL');
    expect(await errnoOf(() => device.read(9, 0, 4))).toBe('EINVAL');
    // BARs size as on hardware, though a virtual function's are wired to 0.
    for (let bar = 0; bar < 6; bar++) {
      const { size: bytes } = await device.regionInfo(bar);
      if (bytes === 0n) continue;
      const at = uapi.PCI_BASE_ADDRESS_0 + 4 * bar;
      await device.store(CONFIG, at, 4, 0xffff_ffff);
      const mask = await device.load(CONFIG, at, 4);
      expect(((~(mask & ~0xf)) >>> 0) + 1).toBe(Number(bytes));
      await device.store(CONFIG, at, 4, 0xfebf_0000);
    }
    // Ids are read-only, the pin is hidden, memory is on without a bit in hardware.
    await device.store(CONFIG, uapi.PCI_VENDOR_ID, 2, 0);
    expect(await device.load(CONFIG, uapi.PCI_VENDOR_ID, 2)).toBe(0x1af4);
    expect(await device.load(CONFIG, uapi.PCI_INTERRUPT_PIN, 1)).toBe(0);
    expect((await device.load(CONFIG, uapi.PCI_COMMAND, 2)) & uapi.PCI_COMMAND_MEMORY).toBe(uapi.PCI_COMMAND_MEMORY);
    await device.store(CONFIG, uapi.PCI_INTERRUPT_LINE, 1, 42);
    expect(await device.load(CONFIG, uapi.PCI_INTERRUPT_LINE, 1)).toBe(42);
    // The MSI-X capability can be read, not written; its table is neither.
    let msix = 0;
    let express = 0;
    for (let at = await device.load(CONFIG, uapi.PCI_CAPABILITY_LIST, 1); at !== 0; at = await device.load(CONFIG, at + 1, 1)) {
      const id = await device.load(CONFIG, at, 1);
      if (id === uapi.PCI_CAP_ID_MSIX) msix = at;
      if (id === uapi.PCI_CAP_ID_EXP) express = at;
    }
    const flags = await device.load(CONFIG, msix + uapi.PCI_MSIX_FLAGS, 2);
    await device.store(CONFIG, msix + uapi.PCI_MSIX_FLAGS, 2, flags | uapi.PCI_MSIX_FLAGS_ENABLE);
    expect(await device.load(CONFIG, msix + uapi.PCI_MSIX_FLAGS, 2)).toBe(flags);
    const table = await device.load(CONFIG, msix + uapi.PCI_MSIX_TABLE, 4);
    const [bar, offset] = [table & 7, (table & ~7) >>> 0];
    await device.store(bar, offset, 4, 0x1234_5678);
    expect(await device.load(bar, offset, 4)).toBe(0xffff_ffff);
    // The reset bit resets and reads as 0.
    const control = await device.load(CONFIG, express + uapi.PCI_EXP_DEVCTL, 2);
    await device.store(CONFIG, express + uapi.PCI_EXP_DEVCTL, 2, control | uapi.PCI_EXP_DEVCTL_BCR_FLR);
    expect((await device.load(CONFIG, express + uapi.PCI_EXP_DEVCTL, 2)) & uapi.PCI_EXP_DEVCTL_BCR_FLR).toBe(0);
    // Mapping.
    expect(await errnoOf(() => device.map(bar, 0, 4096, uapi.PROT_READ | uapi.PROT_WRITE))).toBe('ok');
    expect(await errnoOf(() => device.map(5, 0, 4096, uapi.PROT_READ))).toBe('EINVAL');
    expect(await errnoOf(() => device.map(CONFIG, 0, 4096, uapi.PROT_READ))).toBe('EINVAL');
    expect(await errnoOf(() => device.map(9, 0, 4096, uapi.PROT_READ))).toBe('EINVAL');
    expect(await errnoOf(() => device.map(bar, 0, 1 << 30, uapi.PROT_READ))).toBe('EINVAL');
    expect(await errnoOf(() => p.mmap(4096, uapi.PROT_READ, uapi.MAP_PRIVATE, device.fd, bar * 2 ** 40))).toBe('EINVAL');
  }));

  it('answers features, resets and eventfds for registers, or says why not', () => withDevice(async (p, { device, group }, scratch, world) => {
    covers('2.13.5', '2.13.6', '2.13.7');
    const { VFIO_DEVICE_FEATURE_GET: GET, VFIO_DEVICE_FEATURE_SET: SET, VFIO_DEVICE_FEATURE_PROBE: PROBE } = uapi;
    const feature = (flags: number, bytes = 0, argsz = 8 + bytes): Promise<string> => {
      const arg = new Uint8Array(8 + bytes);
      arg.set(uapi.vfio_device_feature.encode({ argsz, flags }));
      return errnoOf(() => scratch.ioctl(device.fd, uapi.VFIO_DEVICE_FEATURE, arg));
    };
    expect(await feature(0x80000)).toBe('EINVAL');
    expect(await feature(GET | SET)).toBe('EINVAL');
    for (const [id, bytes] of [[1, 8], [2, 8], [6, 24], [7, 0], [8, 32]] as const) expect([id, await feature(id | GET | PROBE, bytes)]).toEqual([id, 'ENOTTY']); // does not migrate
    expect(await feature(uapi.VFIO_DEVICE_FEATURE_PCI_VF_TOKEN | SET, 16)).toBe('ENOTTY'); // not on a virtual function
    expect(await feature(99 | PROBE | GET)).toBe('ENOTTY');
    expect(await feature(uapi.VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY | GET)).toBe('EINVAL');
    expect(await feature(uapi.VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY | SET | PROBE)).toBe('ok');
    expect(await feature(uapi.VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY | SET)).toBe('ok');
    expect(await feature(uapi.VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY | SET)).toBe('EINVAL');
    expect(await errnoOf(() => device.load(4, 0, 4))).toBe('EIO');
    expect(await feature(uapi.VFIO_DEVICE_FEATURE_LOW_POWER_EXIT | SET)).toBe('ok');
    expect(await errnoOf(() => device.load(4, 0, 4))).toBe('ok');

    const info = (argsz: number): Promise<string> => errnoOf(() => scratch.ioctl(device.fd, uapi.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, (() => {
      const bytes = new Uint8Array(256);
      bytes.set(uapi.vfio_pci_hot_reset_info.encode({ argsz }));
      return bytes;
    })()));
    expect([await info(12), await info(256)]).toEqual(['ENOSPC', 'ok']);
    const hot = new Uint8Array(16);
    const reset = (count: number, fd: number, flags = 0): Promise<string> => {
      hot.set(uapi.vfio_pci_hot_reset.encode({ argsz: 16, count, flags }));
      new DataView(hot.buffer).setInt32(12, fd, true);
      return errnoOf(() => scratch.ioctl(device.fd, uapi.VFIO_DEVICE_PCI_HOT_RESET, hot));
    };
    expect([await reset(0, 0), await reset(99, 0), await reset(1, 99), await reset(1, device.fd), await reset(1, group.fd, 1)]).toEqual(['EINVAL', 'EINVAL', 'EBADF', 'EINVAL', 'EINVAL']);
    expect(await reset(1, group.fd)).toBe('EINVAL'); // the physical function is another's
    expect(await errnoOf(() => device.reset())).toBe('ok');

    const fd = p.eventfd();
    const event = (offset: bigint, size: number, eventfd: number, data = 0n): Promise<string> => errnoOf(() => scratch.ioctl(device.fd, uapi.VFIO_DEVICE_IOEVENTFD,
      uapi.vfio_device_ioeventfd.encode({ argsz: uapi.vfio_device_ioeventfd.size, flags: size, offset, data, fd: eventfd })));
    expect(await event(4n << 40n, 3, fd)).toBe('EINVAL');
    expect(await event(4n << 40n, 2, -2)).toBe('EINVAL');
    expect(await event(7n << 40n, 2, fd)).toBe('EINVAL'); // configuration space
    expect(await event((4n << 40n) + (1n << 30n), 2, fd)).toBe('EINVAL');
    expect(await event(4n << 40n, 2, -1)).toBe('ENODEV');
    expect(await event(4n << 40n, 2, 99)).toBe('EBADF');
    expect(await event(4n << 40n, 2, fd)).toBe('ok');
    expect(await event(4n << 40n, 2, fd)).toBe('EEXIST');
    expect(await event(4n << 40n, 2, -1)).toBe('ok');
    await p.close(fd);
    expect(world.complaints()).toEqual([]);
  }));
});
