/** Bringing devices up, with a failure at every step of every module that takes part. */
import { isKernelError } from '@vdpalab/abi';
import type { Lab } from '@vdpalab/lab';
import { covers } from '@vdpalab/testing';
import { describe, expect, test } from 'vitest';
import { interfaceOf } from '../support/netdev.ts';
import { adding, binding, claiming, enablingVfs, linkingUp, loadAll, managers, oneOfEach, opening, release, stage, strike } from './scenes.ts';
import { walk, type Scene } from './walk.ts';

const TIMEOUT = 300_000;

/** A lab with everything loaded, and a management device of each kind. */
async function everything(): Promise<{ lab: Lab; kinds: readonly string[] }> {
  const lab = await stage([], 2);
  await loadAll(lab);
  return { lab, kinds: await oneOfEach(lab) };
}

/** Whether an action works here at all: a manager may ask for more than a name. */
async function works(lab: Lab, scene: Scene): Promise<boolean> {
  try {
    await scene.act(lab);
    await scene.undo(lab);
    return true;
  } catch (error) {
    if (isKernelError(error) || (error as Error).name === 'NetlinkError') return false;
    throw error;
  }
}

async function walkClean(lab: Lab, scene: Scene): Promise<number> {
  const { steps, residues } = await walk(lab, scene);
  expect(residues).toEqual([]);
  return steps;
}

describe('a failure at any step leaves nothing behind', { timeout: TIMEOUT }, () => {
  test('of switching virtual functions on', async () => {
    const ready = await stage(['ifcvf'], 2);
    await enablingVfs.undo(ready);
    expect(await walkClean(ready, enablingVfs)).toBeGreaterThan(50);
    expect(await strike(ready)).toEqual([]);
  });

  test('of vdpa dev add, on every kind of management device', async () => {
    covers('1.4.5', 'F23');
    const { lab, kinds } = await everything();
    let walked = 0;
    for (const kind of kinds) {
      const scene = adding(kind, 'vdpa0');
      if (!(await works(lab, scene))) continue;
      await walkClean(lab, scene);
      walked++;
    }
    expect(walked).toBeGreaterThan(3); // ifcvf, vp_vdpa and two simulators; a device of vduse needs a process
    expect(await strike(lab)).toEqual([]);
  });

  test('of binding a device to either bus driver, on every kind of parent', async () => {
    const { lab, kinds } = await everything();
    for (const kind of kinds) {
      const add = adding(kind, 'vdpa0');
      if (!(await works(lab, add))) continue;
      await add.act(lab);
      await release(lab, 'vdpa0');
      for (const driver of ['vhost_vdpa', 'virtio_vdpa']) await walkClean(lab, binding('vdpa0', driver));
      await add.undo(lab);
    }
    expect(await strike(lab)).toEqual([]);
  });

  test.each([['0000:07:00.0', 'n3000_pf', 'n3000_pf'], ['0000:00:03.0', 'vp-vdpa', 'vp_vdpa']])('of a probe by hand: %s, %s', async (name, driver, module) => {
    const lab = await stage([module], 0);
    expect(await walkClean(lab, claiming(name, driver))).toBeGreaterThan(5);
    expect(await strike(lab)).toEqual([]);
  });

  test('of opening a device, mapping memory, setting up its rings and starting it', async () => {
    const lab = await stage(['ifcvf', 'vhost_vdpa']);
    const [kind = ''] = await managers(lab);
    const add = adding(kind, 'vdpa0');
    await add.act(lab);
    expect(await walkClean(lab, opening('vdpa0'))).toBeGreaterThan(20);
    await add.undo(lab);
    expect(await strike(lab)).toEqual([]);
  });

  test('of bringing a network interface up', async () => {
    const lab = await stage(['ifcvf', 'virtio_vdpa', 'virtio_net']);
    const [kind = ''] = await managers(lab);
    const add = adding(kind, 'vdpa0');
    await add.act(lab);
    const name = await lab.user((p) => interfaceOf(p, kind.slice('pci/'.length)));
    await release(lab, 'vdpa0');
    await walkClean(lab, linkingUp('vdpa0', name));
    await add.undo(lab);
    expect(await strike(lab)).toEqual([]);
  });
});
