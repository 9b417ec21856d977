import type { RunResult } from '@vdpalab/abi';
import { LabStuckError } from '@vdpalab/lab';
import { describeRun } from '@vdpalab/machine';
import { covers } from '@vdpalab/testing';
import { O_RDWR, O_WRONLY } from '@vdpalab/uapi';
import { vdpaDevDel, vdpaDevNames } from '@vdpalab/user';
import { describe, expect, it } from 'vitest';
import { World } from '../support/index.ts';

const NODE = '/dev/vhost-vdpa-0';
const CLOSE = 'last close of /dev/vhost-vdpa-0';

async function worldWithDevice(): Promise<World> {
  const world = await World.create({ modules: ['vhost_vdpa', 'ifcvf', 'pci_pf_stub'] });
  await world.addDevice('vdpa0', 0, 'vhost_vdpa');
  return world;
}

/** Names of the tasks that wait, with what for. */
function waits(result: RunResult): Record<string, string> {
  const tasks = result.kind === 'blocked' ? result.tasks : result.kind === 'deadlock' ? result.cycle : [];
  return Object.fromEntries(tasks.map((t) => [t.name, t.wait?.what ?? '']));
}

describe('a vDPA device whose file is open', () => {
  it('keeps `vdpa dev del` waiting for the last close, and other vdpa commands behind it', async () => {
    covers('2.4.5');
    const world = await worldWithDevice();
    const { lab } = world;
    const holder = await lab.process('holder');
    const fd = await lab.as(holder, (p) => p.open(NODE, O_RDWR));
    const done: string[] = [];
    const admin = await lab.process('admin');
    lab.start(admin, 'vdpa dev del', async (p) => {
      await vdpaDevDel(p, 'vdpa0');
      done.push('deleted');
    });
    expect(waits(await lab.run())).toEqual({ 'vdpa dev del': expect.stringContaining(CLOSE) });
    const viewer = await lab.process('viewer');
    lab.start(viewer, 'vdpa dev show', async (p) => {
      done.push(`shows ${JSON.stringify(await vdpaDevNames(p))}`);
    });
    const stuck = await lab.run();
    expect(stuck.kind).toBe('blocked');
    expect(Object.keys(waits(stuck)).sort()).toEqual(['vdpa dev del', 'vdpa dev show']);
    expect(describeRun(stuck)).toMatch(/vdpa dev show\[\d+\] waits for .*\(vdpa dev del\[\d+\]\)/);
    expect(done).toEqual([]);
    expect(await lab.as(holder, async (p) => (await p.readdir('/dev')).map((e) => e.name))).not.toContain('vhost-vdpa-0');

    await lab.as(holder, (p) => p.close(fd));
    expect(done).toEqual(['deleted', 'shows []']);
    for (const process of [holder, admin, viewer]) await lab.exitProcess(process);
    expect(await world.close()).toEqual([]);
  });

  it('keeps the virtual functions there until it is closed', async () => {
    covers('1.4.6');
    const world = await worldWithDevice();
    const { lab } = world;
    const holder = await lab.process('holder');
    const fd = await lab.as(holder, (p) => p.open(NODE, O_RDWR));
    const admin = await lab.process('admin');
    let over = false;
    lab.start(admin, 'echo 0', async (p) => {
      await p.writeFile(`/sys/bus/pci/devices/${world.pf}/sriov_numvfs`, '0\n', O_WRONLY);
      over = true;
    });
    expect(waits(await lab.run())).toEqual({ 'echo 0': expect.stringContaining(CLOSE) });
    const removed = () => lab.uevents.filter((e) => e.action === 'remove').map((e) => e.devpath);
    expect(removed().some((path) => path.endsWith(world.vf(0)))).toBe(false);
    await lab.as(holder, (p) => p.close(fd));
    expect(over).toBe(true);
    const order = removed().filter((path) => path.includes(world.vf(0)));
    const depth = (path: string): number => path.split('/').length;
    expect(order.at(-1)).toMatch(new RegExp(`${world.vf(0)}$`));
    expect(order.map(depth)).toEqual(order.map(depth).toSorted((x, y) => y - x)); // children first
    for (const process of [holder, admin]) await lab.exitProcess(process);
    expect(await world.close()).toEqual([]);
  });

  it('is a deadlock when its holder deletes it, and the report names the holder', async () => {
    const world = await worldWithDevice();
    const { lab } = world;
    const stuck = await lab.user(async (p) => {
      await p.open(NODE, O_RDWR);
      await vdpaDevDel(p, 'vdpa0');
    }, { comm: 'holder' }).catch((error: unknown) => error);
    expect(stuck).toBeInstanceOf(LabStuckError);
    const { result, message } = stuck as LabStuckError;
    expect(result.kind).toBe('deadlock');
    expect(waits(result)).toEqual({ holder: expect.stringContaining(CLOSE) });
    expect(message).toMatch(/deadlock:\n  holder\[(\d+)\] waits for .*last close of \/dev\/vhost-vdpa-0 \(holder\[\1\]\)/);
    // A signal would end the process, and that closes the file.
    await lab.kernel(async () => {
      for (const proc of lab.symbol('processes')()) await lab.symbol('process_exit')(proc);
    });
    expect(await world.close()).toEqual([]);
  });

  it('is a deadlock between two when the holder waits for the one that deletes', async () => {
    const world = await worldWithDevice();
    const { lab } = world;
    const holder = await lab.process('holder');
    const [gate, admin] = [await lab.as(holder, async (p) => p.eventfd()), await lab.process('admin')];
    lab.start(holder, 'holder', async (p) => {
      const fd = await p.open(NODE, O_RDWR);
      await p.read(gate, 8);
      await vdpaDevNames(p);
      await p.close(fd);
    });
    await lab.run();
    lab.start(admin, 'admin', (p) => vdpaDevDel(p, 'vdpa0'));
    await lab.run();
    const result = await lab.as(holder, async (p) => {
      await p.eventfdWrite(gate);
    }).then(() => lab.run());
    expect(result.kind).toBe('deadlock');
    expect(Object.keys(waits(result)).sort()).toEqual(['admin', 'holder']);
    await lab.kernel(async () => {
      for (const proc of lab.symbol('processes')()) await lab.symbol('process_exit')(proc);
    });
    expect(await world.close()).toEqual([]);
  });
});
