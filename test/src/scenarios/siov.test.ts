import { createLab, type Lab } from '@vdpalab/lab';
import { covers } from '@vdpalab/testing';
import { MAP_ANONYMOUS, MAP_PRIVATE, O_WRONLY, PROT_READ, PROT_WRITE, VHOST_ACCESS_RO, VHOST_ACCESS_RW } from '@vdpalab/uapi';
import { VhostVdpaFile } from '@vdpalab/user';
import { describe, expect, it } from 'vitest';
import { goesAsWritten } from '../support/goes-as-written.ts';
import { modprobe } from '../support/index.ts';

const RID = 0x700;
const uuid = (n: number): string => `83b8f4f2-509f-382f-3c1e-e6bfe0fa100${n}`;

/** A lab with three interfaces, of which two are in use. */
async function stage(): Promise<Lab> {
  const lab = await createLab({
    config: { memory: '64M', iommu: true, pci: { root_ports: [{ at: '00:01.0', bus: 7 }], functions: [{ at: '07:00.0', model: 'siov', adis: 3 }] } },
  });
  await lab.user(async (p) => {
    for (const name of ['siov_adi', 'vhost_vdpa']) await modprobe(lab, p, name);
    for (const n of [1, 2]) await p.writeFile('/sys/class/mdev_bus/0000:07:00.0/mdev_supported_types/siov_adi-net/create', uuid(n), O_WRONLY);
  });
  return lab;
}

goesAsWritten('siov', 'frames cross between assignable interfaces');
goesAsWritten('siov-vdev', 'two assignable interfaces are one device');

describe('an assignable interface', () => {
  it('reaches its own device\'s memory by its PASID: one address, two pages; other tags fault', async () => {
    covers('1.1.6', '1.9.1');
    const lab = await stage();
    const at = (pasid: number | null): { ok: boolean; byte: number } => {
      const bytes = new Uint8Array(1);
      const ok = lab.hw.dmaPort(RID, pasid).read(0x1_0000, 1, bytes);
      return { ok, byte: bytes[0]! };
    };
    await lab.user(async (p) => {
      const files = [await VhostVdpaFile.open(p, '/dev/vhost-vdpa-0'), await VhostVdpaFile.open(p, '/dev/vhost-vdpa-1')];
      for (const [n, file] of files.entries()) {
        await file.setOwner();
        const va = await p.mmap(4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
        p.proc.mm.write(va, Uint8Array.of(0xa0 + n));
        await file.map(0x1_0000n, 4096n, BigInt(va), n === 0 ? VHOST_ACCESS_RW : VHOST_ACCESS_RO);
      }
      expect([at(1), at(2)]).toEqual([{ ok: true, byte: 0xa0 }, { ok: true, byte: 0xa1 }]);
      expect([lab.hw.dmaPort(RID, 1).write(0x1_0000, Uint8Array.of(1)), lab.hw.dmaPort(RID, 2).write(0x1_0000, Uint8Array.of(1))]).toEqual([true, false]);
      const before = lab.symbol('iommu_faults')().length;
      expect([at(3).ok, at(null).ok]).toEqual([false, false]);
      expect(lab.symbol('iommu_faults')().slice(before).map(({ pasid, reason }) => [pasid, reason])).toEqual([[3, 'no-entry'], [null, 'not-present']]);
      for (const file of files) await file.close();
    });
    expect([at(1).ok, at(2).ok]).toEqual([false, false]); // the mappings went with the files
    lab.hw.dropDmaPort(RID, 3);
    expect(await lab.close()).toEqual([]);
  });

  it('says that every bus driver may have it', async () => {
    covers('1.3.7');
    const lab = await stage();
    const models = await lab.kernel(async () => lab.symbol('all_devices')().filter((dev) => dev.bus?.name === 'vdpa').map((dev) => [...lab.symbol('dev_to_vdpa')(dev).models]));
    expect(models).toEqual([['virtio', 'vfio', 'vhost'], ['virtio', 'vfio', 'vhost']]);
    expect(await lab.close()).toEqual([]);
  });

  it('is free again when its device goes, and the PASID with it; the lowest are taken first', async () => {
    const lab = await stage();
    const pasids = (): Promise<unknown> => lab.kernel(async () => lab.symbol('all_devices')().filter((dev) => dev.name.startsWith('83b8')).map((dev) => [dev.name.slice(-1), dev.dma?.pasid]));
    expect(await pasids()).toEqual([['1', 1], ['2', 2]]);
    await lab.user(async (p) => {
      const create = (n: number) => p.writeFile('/sys/class/mdev_bus/0000:07:00.0/mdev_supported_types/siov_adi-net/create', uuid(n), O_WRONLY);
      await p.writeFile(`/sys/bus/mdev/devices/${uuid(1)}/remove`, '1', O_WRONLY);
      await create(3);
      await create(4);
      await expect(create(5)).rejects.toMatchObject({ errno: 'ENOSPC' });
    });
    expect(await pasids()).toEqual([['2', 2], ['3', 1], ['4', 3]]);
    expect(await lab.close()).toEqual([]);
  });
});
