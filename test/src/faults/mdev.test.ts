/** Mediated devices made, used and removed, with a failure at every step of every module that takes part. */
import { createLab, type Lab, type LabConfigInput } from '@vdpalab/lab';
import { covers } from '@vdpalab/testing';
import { O_WRONLY } from '@vdpalab/uapi';
import { VfioSession } from '@vdpalab/user';
import { describe, expect, test } from 'vitest';
import { folder } from '../playground/folders.ts';
import { modprobe } from '../support/modprobe.ts';
import { walk, type Scene } from './walk.ts';

const UUID = '83b8f4f2-509f-382f-3c1e-e6bfe0fa1001';
const DEVICES = '/sys/bus/mdev/devices';

/** Parents of both surfaces, and the type that is made of each. */
const parents = { mtty: 'mtty-2', mdpy: 'mdpy-vga', mbochs: 'mbochs-small', 'nvidia-0': 'nvidia-11', '0000:07:00.0': 'siov_adi-vdev2' } as const;
type Parent = keyof typeof parents;

const config: LabConfigInput = {
  memory: '64M', iommu: true, modules: { extra: [folder('mdev')] },
  pci: { root_ports: [{ at: '00:01.0', bus: 7 }], functions: [{ at: '07:00.0', model: 'siov', adis: 2 }] },
};

/** A lab in which failures can be made, with all parents. */
async function stage(): Promise<Lab> {
  const lab = await createLab({ config, fail: [] });
  await lab.user(async (p) => {
    for (const name of ['mtty', 'mdpy', 'mbochs', 'nvidia', 'siov_adi', 'vfio_mdev', 'vfio_iommu_type1']) await modprobe(lab, p, name);
  });
  return lab;
}

async function create(lab: Lab, parent: Parent): Promise<void> {
  await lab.user((p) => p.writeFile(`/sys/class/mdev_bus/${parent}/mdev_supported_types/${parents[parent]}/create`, UUID, O_WRONLY));
}

async function removeIfThere(lab: Lab): Promise<void> {
  await lab.user(async (p) => {
    if ((await p.readdir(DEVICES)).length > 0) await p.writeFile(`${DEVICES}/${UUID}/remove`, '1', O_WRONLY);
  });
}

/** `echo UUID > create`. A device of 2016 is there whether or not the bus driver takes it. */
const creating = (parent: Parent): Scene => ({
  name: `create on ${parent}`, atomic: parent !== 'nvidia-0',
  act: (lab) => create(lab, parent),
  undo: removeIfThere,
});

/** A process opens the device and uses it; then it ends. */
const using = (parent: Parent): Scene => ({
  name: `use a device of ${parent}`, atomic: false,
  act: (lab) => lab.user(async (p) => {
    const session = await VfioSession.open(p, [UUID]);
    const [device] = session.devices;
    await session.dmaMap(0x10000, 0x2000);
    await session.read(device!, parent === 'nvidia-0' ? 0 : 7, 0, 4); // registers, or the configuration
    if (parent === 'mtty') await device!.file.setTriggers(0, [p.eventfd()]);
    else await session.mapped(device!, parent === 'nvidia-0' ? 2 : 0, 0, 4, (va) => p.proc.mm.read(va, 4));
    await session.dmaUnmap(0x10000, 0x2000);
    await session.close();
  }),
  undo: async () => {}, // the process has ended
});

describe('a failure at any step leaves nothing behind', { timeout: 300_000 }, () => {
  test.each(Object.keys(parents) as Parent[])('of making a device of %s', async (parent) => {
    covers('1.4.5', '1.7.10');
    const lab = await stage();
    const { steps, residues } = await walk(lab, creating(parent));
    expect(residues).toEqual([]);
    expect(steps).toBeGreaterThan(10);
    expect(await lab.close()).toEqual([]);
  });

  test.each((Object.keys(parents) as Parent[]).filter((parent) => parent !== '0000:07:00.0'))('of using a device of %s', async (parent) => {
    const lab = await stage();
    await create(lab, parent);
    await using(parent).act(lab); // video memory that was touched stays
    const { steps, residues } = await walk(lab, using(parent));
    expect(residues).toEqual([]);
    expect(steps).toBeGreaterThan(10);
    await removeIfThere(lab);
    expect(await lab.close()).toEqual([]);
  });
});
