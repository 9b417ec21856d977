/** Parents that leave translation to the platform IOMMU. */
import type { LogLine } from '@vdpalab/abi';
import { createMachine } from '@vdpalab/machine';
import { answerOf, anonymous, covers, VdpaTool, VhostFile } from '@vdpalab/testing';
import type { BootOptions, FakeParentOptions } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { bootVhost } from './testing/kernel.ts';

const PLATFORM: FakeParentOptions = { mapping: 'platform', ngroups: 1, nas: 1, bus: 'platform' };
const PAGE = 4096n;

/** A kernel on a machine that has an IOMMU of 39 bits. */
async function bootWithIommu(options: FakeParentOptions = PLATFORM, wrap: BootOptions['wrap'] = (_, value) => value) {
  const lines: LogLine[] = [];
  const { machine } = createMachine({
    seed: 1, ramBytes: 16 << 20, iommu: true, iommuBits: 39, cmdline: '', release: '6.1.0', consoleSink: (line) => void lines.push(line),
  });
  const kernel = await bootVhost(options, { machine, wrap });
  lines.splice(0);
  return { ...kernel, lines };
}

test('the file has a domain of its own while it is open: updates are mapped there, with permissions, and the close empties it', async () => {
  covers('2.5.7', '2.4.13');
  const kernel = await bootWithIommu();
  const { k } = kernel;
  await kernel.withFile(async (f, proc) => {
    const vdev = k.bus_devices(k.find_bus('vdpa') as never)[0]; // registered by vdpa
    const group = k.iommu_group_get(k.dev_to_vdpa(vdev as never).dma_dev);
    const domain = group?.domain;
    if (domain === undefined || domain === null) throw new Error('no domain');
    expect([domain.type, domain === group?.default_domain]).toEqual(['unmanaged', false]);
    await f.ioctl(uapi.VHOST_VDPA_GET_IOVA_RANGE, new Uint8Array(16));
    expect(uapi.vhost_vdpa_iova_range.decode(proc.mm.read(f.scratch, 16))).toEqual({ first: 0n, last: 0x7f_ffff_ffffn });

    await f.ioctl(uapi.VHOST_SET_OWNER);
    const base = await anonymous(k, proc, 0x4000);
    const update = (iova: bigint, perm: number, size = PAGE) => f.iotlb(uapi.VHOST_IOTLB_UPDATE, iova, size, BigInt(base), perm);
    expect(await update(0x10_0000n, uapi.VHOST_ACCESS_RW, 2n * PAGE)).toBe(72);
    expect([k.iommu_iova_to_phys(domain, 0x10_0000), k.iommu_iova_to_phys(domain, 0x10_1004), domain.mapped])
      .toEqual([proc.mm.translate(base, true), proc.mm.translate(base + 0x1004, true), 8192]);
    expect([await update(0x20_0000n, uapi.VHOST_ACCESS_RO), await update(0x30_0000n, uapi.VHOST_ACCESS_WO)]).toEqual([72, 72]);
    // no permission at all is refused here, with a warning, and nothing stays
    expect([await update(0x40_0000n, 0), await update(0x50_0000n, 4), proc.mm.pinned_vm]).toEqual(['EFAULT', 'EFAULT', 4]);
    expect(await update(0x80_0000_0000n, uapi.VHOST_ACCESS_RW)).toBe('EFAULT'); // past the aperture
    expect([await f.iotlb(uapi.VHOST_IOTLB_INVALIDATE, 0x10_0000n, PAGE), domain.mapped]).toEqual([72, 8192]);
    await f.set(uapi.VHOST_VDPA_SET_STATUS, 1, 0);
    expect(domain.mapped).toBe(8192); // mappings survive a reset
  });
  expect(kernel.lines.map((line) => line.text)).toEqual([
    '------------[ cut here ]------------', 'invalidate vhost IOTLB permission',
    '------------[ cut here ]------------', 'invalidate vhost IOTLB permission',
  ]);
  expect(await kernel.gone()).toEqual([]);
});

test('mapping ops are optional: through them or through the platform a device reaches the same bytes, and nothing around them', async () => {
  covers('1.1.19', '1.3.5', '1.3.8');
  const reads: Record<string, string> = {};
  for (const mapping of ['platform', 'dma_map', 'set_map'] as const) {
    const kernel = await bootWithIommu({ ...PLATFORM, mapping });
    const { k } = kernel;
    await kernel.withFile(async (f, proc, device) => {
      const vdev = k.dev_to_vdpa(k.bus_devices(k.find_bus('vdpa') as never)[0] as never); // there is one
      expect(vdev.dma_dev).not.toBeNull();
      const base = await anonymous(k, proc, 0x4000);
      proc.mm.write(base, Uint8Array.from({ length: 0x4000 }, (_, i) => (i * 31) & 0xff));
      await f.ioctl(uapi.VHOST_SET_OWNER);
      kernel.parent.calls.take();
      await f.iotlb(uapi.VHOST_IOTLB_UPDATE, 0x10_0000n, 3n * PAGE, BigInt(base));
      await f.iotlb(uapi.VHOST_IOTLB_UPDATE, 0x20_0000n, PAGE, BigInt(base + 0x3000), uapi.VHOST_ACCESS_RO);
      await f.iotlb(uapi.VHOST_IOTLB_UPDATE, 0x30_0000n, PAGE, BigInt(base));
      await f.iotlb(uapi.VHOST_IOTLB_INVALIDATE, 0x30_0000n, PAGE);
      const told = kernel.parent.calls.take().filter((call) => /map/.test(call)).length;
      expect([mapping, told]).toEqual([mapping, { platform: 0, dma_map: told, set_map: 4 }[mapping]]);
      if (mapping === 'dma_map') expect(told).toBeGreaterThan(3);

      const domain = k.iommu_group_get(vdev.dma_dev)?.domain ?? null;
      const physical = (iova: number): number | null => {
        if (mapping === 'platform') return domain === null ? null : k.iommu_iova_to_phys(domain, iova) || null;
        const map = device.maps.find((m) => BigInt(iova) >= m.start && BigInt(iova) < m.start + m.size);
        return map === undefined ? null : Number(map.addr) + iova - Number(map.start);
      };
      const byte = (iova: number): string => {
        const pa = physical(iova);
        const region = pa === null ? null : kernel.machine.ram.find(pa, 1);
        return pa === null || region === null ? '-' : (region.u8[pa - region.base] ?? 0).toString(16);
      };
      const probes = [0x0f_ffff, 0x10_0000, 0x10_0fff, 0x10_1000, 0x10_2abc, 0x10_2fff, 0x10_3000, 0x1f_ffff, 0x20_0000, 0x20_0fff, 0x20_1000, 0x30_0000];
      reads[mapping] = probes.map(byte).join(' ');
      expect(k.dev_to_vdpa(k.bus_devices(k.find_bus('vdpa') as never)[0] as never).dma_type).toBe(mapping === 'platform' ? 'platform' : 'device'); // there is one
      expect(domain?.type ?? 'dma').not.toBe(mapping === 'platform' ? 'dma' : 'unmanaged'); // the platform's table is untouched else
    });
    expect(await kernel.gone()).toEqual([]);
  }
  expect(reads['platform']).toBe('- 0 e1 0 c4 e1 - - 0 e1 - -');
  expect([reads['dma_map'], reads['set_map']]).toEqual([reads['platform'], reads['platform']]);
});

test('a group that somebody else has cannot be had, and can be afterwards', async () => {
  const kernel = await bootWithIommu();
  const { k } = kernel;
  await kernel.user(async (proc) => {
    const tool = await VdpaTool.open(k, proc);
    expect(await tool.add('vdpa0', kernel.parent.handle)).toBe('ok');
    const { dma_dev } = k.dev_to_vdpa(k.bus_devices(k.find_bus('vdpa') as never)[0] as never); // there is one
    const open = () => answerOf(() => k.ksys_open(proc, '/dev/vhost-vdpa-0', uapi.O_RDWR));
    const other = k.iommu_domain_alloc(dma_dev);
    k.iommu_attach_device(other, dma_dev);
    expect([await open(), await open()]).toEqual(['EBUSY', 'EBUSY']);
    k.iommu_detach_device(other, dma_dev);
    k.iommu_domain_free(other);
    await (await VhostFile.open(k, proc, '/dev/vhost-vdpa-0')).close();
    const group = k.iommu_group_get(dma_dev);
    expect(group?.domain).toBe(group?.default_domain);
    await tool.del('vdpa0');
  });
  expect(await kernel.gone()).toEqual([]);
});

test('without an IOMMU it cannot be opened: errno 524', async () => {
  covers('2.4.3');
  const kernel = await bootVhost(PLATFORM);
  await kernel.user(async (proc) => {
    const tool = await VdpaTool.open(kernel.k, proc);
    await tool.add('vdpa0', kernel.parent.handle);
    expect(await answerOf(() => kernel.k.ksys_open(proc, '/dev/vhost-vdpa-0', uapi.O_RDWR))).toBe('ENOTSUPP');
    await tool.del('vdpa0');
  });
  expect(await kernel.gone()).toEqual([]);
});

test('a parent with a table of its own leaves the platform domain alone', async () => {
  covers('1.3.4');
  const kernel = await bootWithIommu({ mapping: 'dma_map', bus: 'platform' });
  const { k } = kernel;
  await kernel.withFile(async (f, proc, device) => {
    const group = k.iommu_group_get(k.dev_to_vdpa(k.bus_devices(k.find_bus('vdpa') as never)[0] as never).dma_dev); // there is one
    await f.ioctl(uapi.VHOST_SET_OWNER);
    expect(await f.iotlb(uapi.VHOST_IOTLB_UPDATE, 0x1000n, PAGE, BigInt(await anonymous(k, proc, 4096)))).toBe(72);
    expect([device.maps.length, group?.domain === group?.default_domain, group?.domain?.mapped]).toEqual([1, true, 0]);
  });
  expect(await kernel.gone()).toEqual([]);
});

test('the IOMMU is asked about the DMA device, which is the one that is mapped for', async () => {
  covers('1.9.7');
  const asked: [string, string][] = [];
  const ASK = { device_iommu_capable: 0, iommu_domain_alloc: 0, iommu_attach_device: 1, iommu_detach_device: 1 } as const;
  const kernel = await bootWithIommu(PLATFORM, (symbol, value, importer) => (importer !== 'vhost_vdpa' || !(symbol in ASK) ? value : (...args: { name: string }[]) => {
    asked.push([symbol, args[ASK[symbol as keyof typeof ASK]]?.name ?? '']);
    return (value as (...args: unknown[]) => unknown)(...args);
  }));
  const { k } = kernel;
  let name = '';
  await kernel.withFile(async () => {
    name = k.dev_to_vdpa(k.bus_devices(k.find_bus('vdpa') as never)[0] as never).dma_dev.name; // there is one
  });
  expect(asked).toEqual(Object.keys(ASK).map((symbol) => [symbol, name]));
  expect(name).not.toBe('vdpa0');
  expect(await kernel.gone()).toEqual([]);
});

test('a device without a DMA device, which leaves translation to the platform, cannot be opened', async () => {
  covers('1.9.7');
  const kernel = await bootWithIommu();
  const { k } = kernel;
  await kernel.user(async (proc) => {
    const tool = await VdpaTool.open(k, proc);
    await tool.add('vdpa0', kernel.parent.handle);
    const model = k.dev_to_vdpa(k.bus_devices(k.find_bus('vdpa') as never)[0] as never); // there is one
    const vdev = await k.__vdpa_alloc_device({ parent: null, dma_dev: null, config: { ...model.config, free: () => undefined }, ngroups: 1, nas: 1, name: 'alone', priv: null });
    await k.vdpa_register_device(vdev, 2);
    expect(vdev.dev.driver?.name).toBe('vhost_vdpa');
    expect(await answerOf(() => k.ksys_open(proc, '/dev/vhost-vdpa-1', uapi.O_RDWR))).toBe('ENOTSUPP');
    await k.vdpa_unregister_device(vdev);
    await tool.del('vdpa0');
  });
  expect(await kernel.gone()).toEqual([]);
});
