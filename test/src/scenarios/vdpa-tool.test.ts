import { GenlSocket, NetlinkError, vdpaDevAdd, vdpaDevDel, vdpaDevNames, vdpaMgmtdevs } from '@vdpalab/user';
import { createLab } from '@vdpalab/lab';
import { describe, expect, it } from 'vitest';
import { World } from '../support/index.ts';

async function refusal(promise: Promise<unknown>): Promise<{ errno: string; extack: string | null }> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof NetlinkError) return { errno: error.errno, extack: error.extack };
    throw error;
  }
  return { errno: 'none', extack: null };
}

describe('the vdpa tool over generic netlink', () => {
  it('lists managers and devices, adds and deletes, and passes the kernel\'s own words on', async () => {
    const world = await World.create({ modules: ['ifcvf', 'pci_pf_stub'] });
    await world.lab.user(async (p) => {
      expect(await vdpaMgmtdevs(p)).toEqual([`pci/${world.vf(0)}`, `pci/${world.vf(1)}`]);
      await vdpaDevAdd(p, 'vdpa0', `pci/${world.vf(0)}`);
      expect(await vdpaDevNames(p)).toEqual(['vdpa0']);
      expect(await refusal(vdpaDevAdd(p, 'vdpa1', 'pci/0000:01:00.0'))).toEqual({
        errno: 'ENODEV', extack: 'vdpa: Fail to find the specified management device',
      });
      expect(await refusal(vdpaDevAdd(p, 'vdpa1', `pci/${world.vf(1)}`, { mtu: 1400 }))).toMatchObject({ errno: 'EOPNOTSUPP' });
      expect(await refusal(vdpaDevDel(p, 'nobody'))).toEqual({ errno: 'ENODEV', extack: 'vdpa: device not found' });
      await vdpaDevDel(p, 'vdpa0');
      expect(await vdpaDevNames(p)).toEqual([]);
    });
    expect(await world.close()).toEqual([]);
  });

  it('says ENOENT for a family nobody has registered, and leaves no socket open', async () => {
    const lab = await createLab();
    expect(await lab.user((p) => refusal(GenlSocket.open(p, 'vdpa')))).toMatchObject({ errno: 'ENOENT' });
    expect(await lab.close()).toEqual([]);
  });
});
