import { isKernelError } from '@vdpalab/abi';
import { covers } from '@vdpalab/testing';
import { O_RDWR } from '@vdpalab/uapi';
import { vdpaDevAdd, vdpaDevNames } from '@vdpalab/user';
import { describe, expect, it } from 'vitest';
import { bind, boundTo, unbind, vhostPath, World } from '../support/index.ts';

async function errnoOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (isKernelError(error)) return error.errno;
    throw error;
  }
  return 'none';
}

describe('virtual functions and what is made of them', () => {
  it('come with sriov_numvfs, are not changed in number while they are on, and go with what hangs on them, children first', async () => {
    covers('1.1.5', 'F10');
    const world = await World.create({ modules: ['vhost_vdpa', 'ifcvf', 'pci_pf_stub'] });
    const { lab } = world;
    const functions = () => lab.user(async (p) => (await p.readdir('/sys/bus/pci/devices')).map((e) => e.name).filter((n) => n.startsWith('0000:07:')).sort());
    expect(await functions()).toEqual([world.pf, world.vf(0), world.vf(1)]);
    expect(await lab.user((p) => p.readlink(`/sys/bus/pci/devices/${world.vf(0)}/driver`))).toMatch(/\/ifcvf$/);
    expect(await errnoOf(world.setVfs(3))).toBe('EBUSY');
    expect(await functions()).toHaveLength(3);
    expect(await lab.user((p) => p.readFile(`/sys/bus/pci/devices/${world.pf}/sriov_numvfs`))).toBe('2\n');
    await world.addDevice('vdpa0', 0, 'vhost_vdpa');
    await world.addDevice('vdpa1', 1, 'vhost_vdpa');
    expect(await lab.user((p) => vdpaDevNames(p))).toEqual(['vdpa0', 'vdpa1']);

    const mark = lab.uevents.length;
    await world.setVfs(0);
    const removed = lab.uevents.slice(mark).filter((e) => e.action === 'remove').map((e) => e.devpath);
    for (const n of [0, 1]) {
      const [vdpa, vf] = [`/vdpa${n}`, `/${world.vf(n)}`].map((end) => removed.findIndex((path) => path.endsWith(end))) as [number, number];
      expect(vdpa).toBeGreaterThanOrEqual(0);
      expect(vdpa).toBeLessThan(vf);
    }
    expect(await functions()).toEqual([world.pf]);
    expect(await lab.user((p) => vdpaDevNames(p))).toEqual([]);
    await world.setVfs(3);
    expect(await functions()).toHaveLength(4);
    expect(await world.close()).toEqual([]);
  });

  it('serve one bus driver at a time; the node comes with vhost_vdpa and goes with it', async () => {
    covers('1.2.3', '1.2.6');
    const world = await World.create({ modules: ['vhost_vdpa', 'virtio_vdpa', 'ifcvf', 'pci_pf_stub'] });
    await world.addDevice('vdpa0', 0, 'vhost_vdpa');
    await world.lab.user(async (p) => {
      const node = await vhostPath(p, 'vdpa0');
      await p.close(await p.open(node, O_RDWR));
      expect(await errnoOf(bind(p, 'vdpa0', 'virtio_vdpa'))).toBe('EBUSY');
      expect(await boundTo(p, 'vdpa0')).toBe('vhost_vdpa');
      await unbind(p, 'vdpa0', 'vhost_vdpa');
      expect(await errnoOf(p.open(node, O_RDWR))).toBe('ENOENT');
      await bind(p, 'vdpa0', 'virtio_vdpa');
      expect(await boundTo(p, 'vdpa0')).toBe('virtio_vdpa');
      expect(await errnoOf(bind(p, 'vdpa0', 'vhost_vdpa'))).toBe('EBUSY');
      await unbind(p, 'vdpa0', 'virtio_vdpa');
      await bind(p, 'vdpa0', 'vhost_vdpa');
      expect(await vhostPath(p, 'vdpa0')).toBe(node);
    });
    await world.delDevice('vdpa0');
    expect(await world.close()).toEqual([]);
  });

  it('leave nothing behind when the device cannot be made', async () => {
    const world = await World.create({ modules: ['vhost_vdpa', 'ifcvf', 'pci_pf_stub'] });
    await world.lab.user(async (p) => {
      await vdpaDevAdd(p, 'vdpa0', `pci/${world.vf(0)}`);
      await expect(vdpaDevAdd(p, 'vdpa0', `pci/${world.vf(1)}`)).rejects.toMatchObject({ errno: 'EEXIST' });
      await expect(vdpaDevAdd(p, 'other', `pci/${world.vf(0)}`)).rejects.toMatchObject({ errno: 'EOPNOTSUPP' });
      expect(await vdpaDevNames(p)).toEqual(['vdpa0']);
    });
    await world.delDevice('vdpa0');
    expect(await world.close()).toEqual([]);
  });
});
