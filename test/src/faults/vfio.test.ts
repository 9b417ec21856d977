/** VFIO with a failure at every step of every module that takes part. */
import { covers } from '@vdpalab/testing';
import { describe, expect, test } from 'vitest';
import { adding, binding, claiming, openingVfio, openingVhostMdev, release, stage, strike } from './scenes.ts';
import { walk } from './walk.ts';

const VF = '0000:07:00.2';

describe('a failure at any step leaves nothing behind', { timeout: 300_000 }, () => {
  test('of giving a function to vfio-pci', async () => {
    const lab = await stage(['vfio_pci']);
    const { steps, residues } = await walk(lab, claiming(VF, 'vfio-pci'));
    expect(residues).toEqual([]);
    expect(steps).toBeGreaterThan(5);
    expect(await strike(lab)).toEqual([]);
  });

  test('of opening it, mapping memory, taking eventfds and starting the device', async () => {
    covers('F23');
    const lab = await stage(['vfio_pci', 'vfio_iommu_type1']);
    await claiming(VF, 'vfio-pci').act(lab);
    const { steps, residues } = await walk(lab, openingVfio(VF));
    expect(residues).toEqual([]);
    expect(steps).toBeGreaterThan(50);
    await claiming(VF, 'vfio-pci').undo(lab);
    expect(await strike(lab)).toEqual([]);
  });

  test('of binding a vDPA device to vhost_mdev, and of opening and starting it', async () => {
    const lab = await stage(['ifcvf', 'vhost_mdev', 'vfio_iommu_type1']);
    const add = adding(`pci/${VF}`, 'vdpa0');
    await add.act(lab);
    await release(lab, 'vdpa0');
    const bound = binding('vdpa0', 'vhost_mdev');
    const walked = await walk(lab, bound);
    expect(walked.residues).toEqual([]);
    expect(walked.steps).toBeGreaterThan(5);
    await bound.act(lab);
    const { steps, residues } = await walk(lab, openingVhostMdev('vdpa0'));
    expect(residues).toEqual([]);
    expect(steps).toBeGreaterThan(20);
    await add.undo(lab);
    expect(await strike(lab)).toEqual([]);
  });
});
