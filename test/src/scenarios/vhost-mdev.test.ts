/** vDPA devices in the hands of processes over VFIO, as the first overview of the framework planned it. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isKernelError, KernelError } from '@vdpalab/abi';
import { runTranscript } from '@vdpalab/cli';
import { createLab, type Lab, type UserProcess } from '@vdpalab/lab';
import type { VirtioMdevDeviceOps } from '@vdpalab/mdev-core';
import { covers, coversTranscript } from '@vdpalab/testing';
import {
  O_WRONLY, PROT_READ, PROT_WRITE, VFIO_GROUP_FLAGS_CONTAINER_SET, VFIO_GROUP_FLAGS_VIABLE, VFIO_TYPE1v2_IOMMU,
  VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_VERSION_1,
} from '@vdpalab/uapi';
import { vdpaDevAdd, vdpaDevDel, VfioContainerFile, VfioGroupFile, VhostMdevDevice, VirtioUserNet } from '@vdpalab/user';
import { describe, expect, it } from 'vitest';
import {
  bind, bindTo, boundTo, claimPf, drain, hexOf, modprobe, sessionFrames, startChain, startVhostMdevEnd, stopEnd, unbind, VHOST_MDEV_MODULES, virtioMdevOps, World, worldConfig, type End,
} from '../support/index.ts';

const scenario = fileURLToPath(new URL('../../scenarios/vhost-mdev.txt', import.meta.url));
const FEATURES = (1n << BigInt(VIRTIO_F_VERSION_1)) | (1n << BigInt(VIRTIO_F_ACCESS_PLATFORM));
const SETTLED = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK;
const uuid = (n: number): string => `83b8f4f2-509f-382f-3c1e-e6bfe0fa100${n}`;

async function outcome(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
    return 'ok';
  } catch (error) {
    if (isKernelError(error)) return error.errno;
    throw error;
  }
}

/** Number of a device's IOMMU group, as sysfs links it. */
const groupOf = async (p: UserProcess, bus: string, name: string): Promise<string> => (await p.readlink(`/sys/bus/${bus}/devices/${name}/iommu_group`)).split('/').at(-1)!;

/** Functions of the N3000 with vhost_mdev on them. */
async function functions(count = 2): Promise<World> {
  const world = await World.create({ modules: VHOST_MDEV_MODULES, vfs: count });
  for (let n = 0; n < count; n++) await world.addDevice(`vdpa${n}`, n, 'vhost_mdev');
  return world;
}

/** Assignable interfaces, with vhost_mdev on them. */
async function interfaces(): Promise<Lab> {
  const lab = await createLab({
    config: {
      memory: '64M', iommu: true, networks: [{ name: 'wire0', kind: 'wire' }],
      pci: { root_ports: [{ at: '00:01.0', bus: 7 }], functions: [{ at: '07:00.0', model: 'siov', adis: 2, link: 'wire0', mtu: 65535 }] },
    },
  });
  await lab.user(async (p) => {
    for (const name of ['siov_adi', 'vhost_mdev', 'vfio_iommu_type1']) await modprobe(lab, p, name);
    for (const n of [1, 2]) await p.writeFile('/sys/class/mdev_bus/0000:07:00.0/mdev_supported_types/siov_adi-net/create', uuid(n), O_WRONLY);
  });
  return lab;
}

/** The session from `vdpa0` to `vdpa1`. */
async function passed(lab: Lab, mappedDoorbells: boolean): Promise<string[]> {
  const ends: End<VhostMdevDevice>[] = [];
  for (const name of ['vdpa0', 'vdpa1']) ends.push(await startVhostMdevEnd({ lab }, name, { mappedDoorbells }));
  const [a, b] = ends as [End<VhostMdevDevice>, End<VhostMdevDevice>];
  const got: Uint8Array[] = [];
  for (const frame of sessionFrames()) {
    await lab.as(a.process, () => a.net.send(frame));
    got.push(...await drain({ lab }, b));
  }
  for (const end of ends) await stopEnd({ lab }, end);
  return hexOf(got);
}

it.each([1, 7, 42])('goes as written, seed %i', async (seed) => {
  coversTranscript(readFileSync(scenario, 'utf8'));
  let text = '';
  const { commands, equal, left } = await runTranscript(scenario, { seed, out: (t) => void (text += t), err: () => undefined });
  expect(text.match(/^.*\.txt:\d+: \$ .*$/gm) ?? []).toEqual([]);
  expect({ differs: commands - equal, left }).toEqual({ differs: 0, left: [] });
});

describe('a network driver in a process, over vhost_mdev', () => {
  it('passes the frames of the main job bit for bit, on functions and on assignable interfaces', { timeout: 60_000 }, async () => {
    covers('1.2.4', '1.9.3', '1.3.3', 'F18');
    const chain = await startChain();
    const frames = sessionFrames().filter((f) => f.length <= 1514);
    expect(hexOf(await chain.pass(frames))).toEqual(hexOf(frames));
    expect(await chain.close()).toEqual([]);
    const expected = hexOf(sessionFrames());

    const world = await functions();
    expect(await passed(world.lab, false)).toEqual(expected);
    expect(world.complaints()).toEqual([]);
    for (const name of ['vdpa0', 'vdpa1']) await world.delDevice(name);
    expect(await world.close()).toEqual([]);

    const lab = await interfaces();
    expect(await passed(lab, true)).toEqual(expected);
    expect(await lab.close()).toEqual([]);
  });

  it('reaches only what its container maps: elsewhere its DMA faults, with its group\'s id and the address', async () => {
    covers('1.3.3');
    const world = await functions();
    const { lab } = world;
    const a = await startVhostMdevEnd(world, 'vdpa0');
    const b = await startVhostMdevEnd(world, 'vdpa1');
    const { iova, rxAt, size } = b.net.memory;
    await lab.as(b.process, () => b.net.file.unmap(iova, BigInt(size)));
    await lab.as(a.process, () => a.net.send(sessionFrames()[0]!));
    await lab.run();
    const faults = await lab.kernel(async () => lab.symbol('iommu_faults')().map(({ rid, iova: where }) => ({ rid, inside: where >= Number(iova) && where < Number(iova) + rxAt })));
    expect(faults.length).toBeGreaterThan(0);
    expect(faults.every(({ rid, inside }) => rid === 0x703 && inside)).toBe(true);
    await stopEnd(world, a);
    await stopEnd(world, b);
    for (const name of ['vdpa0', 'vdpa1']) await world.delDevice(name);
    expect(await world.close()).toEqual([]);
  });
});

describe('the IOMMU group', () => {
  it('is the parent function\'s while vhost_mdev has the device, and user space gets it whole', async () => {
    covers('1.2.5');
    const world = await functions(1);
    await world.lab.user(async (p) => {
      const group = await groupOf(p, 'pci', world.vf(0));
      expect(await groupOf(p, 'vdpa', 'vdpa0')).toBe(group);
      expect((await p.readdir(`/sys/kernel/iommu_groups/${group}/devices`)).map(({ name }) => name).sort()).toEqual([world.vf(0), 'vdpa0']);
      expect((await p.stat(`/dev/vfio/${group}`)).kind).toBe('chr');
      const file = await VfioGroupFile.open(p, group);
      const container = await VfioContainerFile.open(p);
      expect(await file.status()).toBe(VFIO_GROUP_FLAGS_VIABLE);
      await file.setContainer(container.fd);
      await container.setIommu(VFIO_TYPE1v2_IOMMU);
      expect(await file.status()).toBe(VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
      // Nothing is mapped: the function reaches nothing, and the kernel's own drivers are kept away.
      expect(world.lab.hw.dmaPort(0x702).write(0x1000, Uint8Array.of(1))).toBe(false);
      await file.close();
      await container.close();
      await unbind(p, 'vdpa0', 'vhost_mdev');
      expect(await outcome(() => p.readlink('/sys/bus/vdpa/devices/vdpa0/iommu_group'))).toBe('ENOENT');
      expect(await outcome(() => p.stat(`/dev/vfio/${group}`))).toBe('ENOENT');
    });
    await world.delDevice('vdpa0');
    expect(await world.close()).toEqual([]);
  });

  it('is an assignable interface\'s own', async () => {
    covers('1.2.5', '1.9.1');
    const lab = await interfaces();
    await lab.user(async (p) => {
      const groups = [await groupOf(p, 'vdpa', 'vdpa0'), await groupOf(p, 'vdpa', 'vdpa1'), await groupOf(p, 'pci', '0000:07:00.0')];
      expect(new Set(groups).size).toBe(3);
      expect(groups[0]).toBe(await groupOf(p, 'mdev', uuid(1)));
      // One address, two containers, two pages: the PASID says whose.
      const devices = [await VhostMdevDevice.open(p, 'vdpa0'), await VhostMdevDevice.open(p, 'vdpa1')];
      for (const [n, device] of devices.entries()) p.proc.mm.write(await device.session.dmaMap(0x1_0000, 4096), Uint8Array.of(0xa0 + n));
      const byte = new Uint8Array(1);
      const read = (pasid: number): number | null => (lab.hw.dmaPort(0x700, pasid).read(0x1_0000, 1, byte) ? byte[0]! : null);
      expect([read(1), read(2)]).toEqual([0xa0, 0xa1]);
      for (const device of devices) await device.close();
      expect([read(1), read(2)]).toEqual([null, null]);
    });
    expect(await lab.close()).toEqual([]);
  });

  it('stays with the kernel while another bus driver has the device, and goes there and back', async () => {
    const world = await World.create({ modules: [...VHOST_MDEV_MODULES, 'vhost_vdpa', 'virtio_vdpa', 'virtio_net'], vfs: 1 });
    const { lab } = world;
    await world.addDevice('vdpa0', 0, 'vhost_mdev');
    await lab.user(async (p) => {
      for (const driver of ['virtio_vdpa', 'vhost_mdev', 'vhost_vdpa', 'vhost_mdev'] as const) {
        await bindTo(p, 'vdpa0', driver);
        if (driver === 'vhost_mdev') await (await VhostMdevDevice.open(p, 'vdpa0')).close();
      }
    });
    await world.delDevice('vdpa0');
    expect(await world.close()).toEqual([]);
  });
});

describe('a group of two functions', () => {
  it('is user space\'s when vhost_mdev has both, and what is unbound meanwhile goes to nobody until it is let go', async () => {
    covers('F20');
    const config = worldConfig();
    const lab = await createLab({ config: { ...config, pci: { ...config.pci, root_ports: [{ at: '00:01.0', bus: 7, acs: false }] } } });
    await lab.user(async (p) => {
      for (const name of ['vhost_vdpa', ...VHOST_MDEV_MODULES]) await modprobe(lab, p, name);
      await claimPf(p, '0000:07:00.0');
      await p.writeFile('/sys/bus/pci/devices/0000:07:00.0/sriov_numvfs', '2', O_WRONLY);
      for (const n of [0, 1]) await vdpaDevAdd(p, `vdpa${n}`, `pci/0000:07:00.${2 + n}`);
      await p.writeFile('/sys/bus/pci/drivers/pci-pf-stub/unbind', '0000:07:00.0', O_WRONLY);
      await bindTo(p, 'vdpa0', 'vhost_mdev');
      expect(await outcome(() => VhostMdevDevice.open(p, 'vdpa0'))).toBe('EPERM'); // vdpa1 is the kernel's
      await bindTo(p, 'vdpa1', 'vhost_mdev');
      const device = await VhostMdevDevice.open(p, 'vdpa0');
      await unbind(p, 'vdpa1', 'vhost_mdev'); // nobody has that one open
      expect(await outcome(() => bind(p, 'vdpa1', 'vhost_vdpa'))).toBe('EBUSY');
      await device.close();
      expect(await outcome(() => VhostMdevDevice.open(p, 'vdpa0'))).toBe('EPERM'); // its function's driver claims it again
      await bind(p, 'vdpa1', 'vhost_vdpa');
      for (const n of [0, 1]) await vdpaDevDel(p, `vdpa${n}`);
      await claimPf(p, '0000:07:00.0');
      await p.writeFile('/sys/bus/pci/devices/0000:07:00.0/sriov_numvfs', '0', O_WRONLY);
    });
    expect(await lab.close()).toEqual([]);
  });
});

describe('binding', () => {
  it('is refused for a parent that does not declare it, and for another kind of device than network', async () => {
    const lab = await createLab({ config: { memory: '192M', iommu: true, pci: { functions: [{ at: '00:04.0', model: 'virtio-blk' }] } } });
    await lab.user(async (p) => {
      for (const name of ['vhost_mdev', 'vdpa_sim_net', 'vp_vdpa']) await modprobe(lab, p, name);
      await vdpaDevAdd(p, 'sim', 'vdpasim_net');
      await p.writeFile('/sys/bus/pci/devices/0000:00:04.0/driver_override', 'vp-vdpa', O_WRONLY);
      await p.writeFile('/sys/bus/pci/drivers_probe', '0000:00:04.0', O_WRONLY);
      await vdpaDevAdd(p, 'disk', 'pci/0000:00:04.0');
      expect([await boundTo(p, 'sim'), await boundTo(p, 'disk')]).toEqual([null, null]);
      expect(await outcome(() => bind(p, 'sim', 'vhost_mdev'))).toBe('EOPNOTSUPP');
      expect(await outcome(() => bind(p, 'disk', 'vhost_mdev'))).toBe('ENOTSUPP');
      for (const name of ['sim', 'disk']) await vdpaDevDel(p, name);
    });
    expect(await lab.close()).toEqual([]);
  });

  it('is refused without an IOMMU', async () => {
    const lab = await createLab({ config: { memory: '64M', iommu: false, pci: { functions: [{ at: '00:03.0', model: 'virtio-net' }] } } });
    await lab.user(async (p) => {
      for (const name of ['vhost_mdev', 'vp_vdpa']) await modprobe(lab, p, name);
      await p.writeFile('/sys/bus/pci/devices/0000:00:03.0/driver_override', 'vp-vdpa', O_WRONLY);
      await p.writeFile('/sys/bus/pci/drivers_probe', '0000:00:03.0', O_WRONLY);
      await vdpaDevAdd(p, 'net', 'pci/0000:00:03.0');
      expect(await outcome(() => bind(p, 'net', 'vhost_mdev'))).toBe('EINVAL');
      await vdpaDevDel(p, 'net');
    });
    expect(await lab.close()).toEqual([]);
  });
});

describe('what is busy', () => {
  it('is a queue outside of its time, a queue that is ready, and features that are settled', async () => {
    covers('2.11.11', 'F18');
    const world = await functions(1);
    await world.lab.user(async (p) => {
      const d = await VhostMdevDevice.open(p, 'vdpa0');
      expect(await outcome(() => d.setVringNum(0, 256))).toBe('EPERM'); // nobody owns it
      await d.setOwner();
      expect(await outcome(() => d.setVringNum(0, 256))).toBe('EBUSY'); // features come first
      expect(await outcome(() => d.setVringEnable(0, true))).toBe('EBUSY');
      expect(await outcome(() => d.setVringNum(2, 256))).toBe('ENOBUFS'); // two queues
      expect(await outcome(() => d.setFeatures(FEATURES | (1n << 40n)))).toBe('EINVAL');
      await d.setFeatures(FEATURES);
      await d.setStatus(SETTLED);
      expect(await outcome(() => d.setFeatures(FEATURES))).toBe('EBUSY');
      expect(await outcome(() => d.setStatus(VIRTIO_CONFIG_S_ACKNOWLEDGE))).toBe('EINVAL');
      const call = p.eventfd();
      await d.setVringNum(0, 256);
      await d.setVringAddr(0, 0x1000n, 0x2000n, 0x3000n);
      await d.setVringCall(0, call);
      await d.setVringEnable(0, true);
      for (const busy of [() => d.setVringNum(0, 128), () => d.setVringAddr(0, 0x1000n, 0x2000n, 0x3000n), () => d.vringBase(0), () => d.setVringCall(0, -1)]) {
        expect(await outcome(busy)).toBe('EBUSY'); // it is ready
      }
      await d.setVringEnable(0, false);
      expect([await outcome(() => d.setVringNum(0, 128)), await d.vringBase(0)]).toEqual(['ok', 0]);
      await d.setVringEnable(0, true);
      await d.setStatus(SETTLED | VIRTIO_CONFIG_S_DRIVER_OK);
      expect([await outcome(() => d.setVringEnable(0, false)), await outcome(() => d.setVringNum(1, 256))]).toEqual(['EBUSY', 'EBUSY']);
      await d.setStatus(0);
      await d.close();
      await p.close(call);
    });
    await world.delDevice('vdpa0');
    expect(await world.close()).toEqual([]);
  });

  it('is a device that is open: for a second opener, for rmmod, and for whoever unbinds it, who waits', async () => {
    covers('2.11.11', 'F18');
    const world = await functions(1);
    const { lab } = world;
    const end = await startVhostMdevEnd(world, 'vdpa0');
    const group = await lab.user((p) => groupOf(p, 'pci', world.vf(0)));
    // Opened again by those who have the group, and by those who have not.
    expect(await lab.as(end.process, () => outcome(() => end.net.file.session.add('vdpa0')))).toBe('EBUSY');
    expect(await lab.user((p) => outcome(() => VfioGroupFile.open(p, group)))).toBe('EBUSY');
    expect(await lab.user((p) => outcome(() => p.delete_module('vhost_mdev', 0)))).toBe('EAGAIN');
    const unbinder = await lab.process('unbinder');
    const done: string[] = [];
    lab.start(unbinder, 'unbind', async (p) => {
      await unbind(p, 'vdpa0', 'vhost_mdev');
      done.push('unbound');
    });
    const stuck = await lab.run();
    expect(stuck).toMatchObject({ kind: 'blocked', tasks: [{ name: 'unbind' }] });
    expect(done).toEqual([]);
    await lab.as(end.process, async () => {
      expect(await outcome(() => end.net.file.session.add('vdpa0'))).toBe('EBUSY'); // while it is on its way out, too
      expect(await end.net.file.status()).toBe(SETTLED | VIRTIO_CONFIG_S_DRIVER_OK); // and it works on
    });
    await stopEnd(world, end);
    expect(done).toEqual(['unbound']);
    expect(await lab.user((p) => boundTo(p, 'vdpa0'))).toBeNull();
    await lab.exitProcess(unbinder);
    await world.delDevice('vdpa0');
    expect(await world.close()).toEqual([]);
  });
});

describe('a mediated device of the class for vhost', () => {
  const TYPES = (bdf: string): string => `/sys/bus/pci/devices/${bdf}/mdev_supported_types`;

  /** Functions whose driver makes mediated devices as an RFC of 2019 has it: what it was to be before there was a vDPA bus. */
  async function mediated(more: (world: World) => Partial<VirtioMdevDeviceOps> = () => ({})): Promise<World> {
    const world = await World.create({ modules: VHOST_MDEV_MODULES });
    const { lab } = world;
    await lab.user(async (p) => {
      for (const n of [0, 1]) {
        await vdpaDevAdd(p, `vdpa${n}`, `pci/${world.vf(n)}`);
        await unbind(p, `vdpa${n}`, 'vhost_mdev');
      }
    });
    await lab.kernel(async () => {
      for (const n of [0, 1]) {
        const vf = lab.symbol('all_devices')().find((dev) => dev.name === world.vf(n))!;
        const opened = (): boolean => lab.symbol('vfio_leftovers')().some((line) => line.startsWith(`vfio device ${uuid(n)}: open 1`));
        await lab.symbol('mdev_register_device')(vf, {
          owner: vf.driver!.owner!,
          supported_config: [{ name: 'vhost_mdev', attrs: ['device_api', 'available_instances'].map((name) => ({ name, mode: 0o444, show: async () => '1\n' })) }],
          async create(_, mdev) {
            lab.symbol('mdev_set_vhost_ops')(mdev, virtioMdevOps(world, `vdpa${n}`, more(world)));
            lab.symbol('mdev_set_iommu_device')(mdev, vf);
          },
          async remove() {
            if (opened()) throw new KernelError('EBUSY', 'test.remove', 'it is open');
          },
        });
      }
    });
    return world;
  }

  async function taken(world: World): Promise<string[]> {
    const { lab } = world;
    await lab.kernel(async () => {
      for (const n of [0, 1]) await lab.symbol('mdev_unregister_device')(lab.symbol('all_devices')().find((dev) => dev.name === world.vf(n))!);
    });
    for (const n of [0, 1]) await world.delDevice(`vdpa${n}`);
    return await world.close();
  }

  it('is driven the same way: the function\'s group, its container, the frames of the main job', { timeout: 30_000 }, async () => {
    covers('2.11.11', '1.2.4', '1.2.5');
    const world = await mediated();
    const { lab } = world;
    await lab.user(async (p) => {
      for (const n of [0, 1]) await p.writeFile(`${TYPES(world.vf(n))}/ifcvf-vhost_mdev/create`, uuid(n), O_WRONLY);
      for (const n of [0, 1]) expect(await groupOf(p, 'mdev', uuid(n))).toBe(await groupOf(p, 'pci', world.vf(n)));
      expect((await p.readlink(`/sys/bus/mdev/devices/${uuid(0)}/driver`)).split('/').at(-1)).toBe('vhost_mdev');
    });
    const ends = [await startVhostMdevEnd(world, uuid(0)), await startVhostMdevEnd(world, uuid(1))] as const;
    const got: Uint8Array[] = [];
    for (const frame of sessionFrames()) {
      await lab.as(ends[0].process, () => ends[0].net.send(frame));
      got.push(...await drain(world, ends[1]));
    }
    expect(hexOf(got)).toEqual(hexOf(sessionFrames()));
    // Removed while it is open: its parent refuses.
    expect(await lab.user((p) => outcome(() => p.writeFile(`/sys/bus/mdev/devices/${uuid(0)}/remove`, '1', O_WRONLY)))).toBe('EBUSY');
    expect(await lab.as(ends[0].process, () => outcome(() => ends[0].net.file.session.add(uuid(0))))).toBe('EBUSY');
    for (const end of ends) await stopEnd(world, end);
    await lab.user((p) => p.writeFile(`/sys/bus/mdev/devices/${uuid(0)}/remove`, '1', O_WRONLY));
    expect(await taken(world)).toEqual([]);
  });

  it('is not taken when its parent has other operations than those of version 1, or is no network device', async () => {
    covers('2.11.11');
    for (const [more, errno] of [[{ get_mdev_features: () => 3n }, 524], [{ get_device_id: () => 2 }, 524]] as const) {
      const world = await mediated(() => more);
      await world.lab.user((p) => p.writeFile(`${TYPES(world.vf(0))}/ifcvf-vhost_mdev/create`, uuid(0), O_WRONLY));
      expect(world.dmesg().map(({ text }) => text)).toContain(`vhost_mdev: probe of ${uuid(0)} failed with error -${errno}`);
      expect(await taken(world)).toEqual([]);
    }
  });
});

describe('an open device', () => {
  it('answers what every VFIO device does: regions are doorbells, the interrupt is the configuration\'s, a reset resets', async () => {
    const world = await functions(1);
    await world.lab.user(async (p) => {
      const d = await VhostMdevDevice.open(p, 'vdpa0');
      const { file } = d.session.devices[0]!;
      expect(await file.info()).toMatchObject({ flags: 1, num_regions: 2, num_irqs: 1 });
      expect(await file.regionInfo(1)).toMatchObject({ flags: 6, size: 4096n, offset: 1n << 40n });
      expect(await file.irqInfo(0)).toMatchObject({ flags: 1, count: 1 });
      for (const refused of [() => file.regionInfo(2), () => file.irqInfo(1), () => file.read(0, 0, 2), () => file.write(0, 4095, Uint8Array.of(0, 0)), () => file.map(0, 4096, 4096, PROT_WRITE),
        () => file.map(0, 0, 4096, PROT_READ | PROT_WRITE)]) expect(await outcome(refused)).toBe('EINVAL');
      expect(await file.write(0, 0, Uint8Array.of(0, 0))).toBe(2);
      const changed = p.eventfd();
      await file.setTriggers(0, [changed]);
      await file.setTriggers(0, [changed]); // the first is let go
      await file.disableIrqs(0);
      await file.setTriggers(0, [changed]); // for close to drop
      expect(await outcome(() => file.setIrqs(0, 0, 1, 0x21))).toBe('ENOTTY');
      expect([await d.deviceId(), await d.vringNum(), (await d.config(0, 6)).length]).toEqual([1, 256, 6]);
      for (const [off, len] of [[0, 0], [0, 25], [25, 1]] as const) expect(await outcome(() => d.config(off, len))).toBe('EINVAL');
      await d.setStatus(VIRTIO_CONFIG_S_ACKNOWLEDGE);
      await file.reset();
      expect(await d.status()).toBe(0);
      expect(await outcome(() => p.ioctl(file.fd, 0x1234, 0))).toBe('EPERM');
      await d.setOwner();
      expect(await outcome(() => p.ioctl(file.fd, 0x1234, 0))).toBe('EFAULT');
      await d.close();
      await p.close(changed);
    });
    await world.delDevice('vdpa0');
    expect(await world.close()).toEqual([]);
  });

  it('shows in the picture of the layers, process on VFIO on vhost_mdev on the vDPA bus', async () => {
    const world = await functions(1);
    const end = await startVhostMdevEnd(world, 'vdpa0');
    const { nodes, edges } = await world.lab.layers();
    const layerOf = (label: string) => nodes.find((n) => n.label === label)?.layer;
    const group = `/dev/vfio/${await world.lab.user((p) => groupOf(p, 'vdpa', 'vdpa0'))}`;
    const process = nodes.find((n) => n.layer === 'process')?.label ?? '';
    expect([layerOf(process), layerOf(group), layerOf('vhost_mdev'), layerOf('vdpa0'), layerOf('ifcvf'), layerOf(`VF ${world.vf(0)}`)])
      .toEqual(['process', 'subsystem', 'bus-driver', 'bus', 'parent', 'hardware']);
    const id = (label: string) => nodes.find((n) => n.label === label)?.id;
    const stands = (upper: string, lower: string) => edges.some((e) => e.from === id(upper) && e.to === id(lower));
    expect([stands(process, group), stands(group, 'vhost_mdev'), stands('vhost_mdev', 'vdpa0'), stands('vdpa0', 'ifcvf')]).toEqual([true, true, true, true]);
    await stopEnd(world, end);
    await world.delDevice('vdpa0');
    expect(await world.close()).toEqual([]);
  });

  it('is given back whole by a process that ends with it', async () => {
    const world = await functions(1);
    const { lab } = world;
    const end = await startVhostMdevEnd(world, 'vdpa0', { mappedDoorbells: true });
    await lab.exitProcess(end.process);
    await lab.user(async (p) => {
      const net = await VirtioUserNet.on(p, await VhostMdevDevice.open(p, 'vdpa0'), { queueSize: 64 });
      await net.stop();
    });
    await world.delDevice('vdpa0');
    expect(await world.close()).toEqual([]);
  });
});
