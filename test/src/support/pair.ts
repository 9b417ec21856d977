/** Two processes with a network driver each, over two virtual functions on one switch. */
import type { UserProcess } from '@vdpalab/lab';
import { VirtioUserNet, type UserNetOptions, type UserVirtioDevice, type VhostVdpaFile } from '@vdpalab/user';
import { vhostPath, World, type WorldOptions } from './world.ts';

/** One side. */
export interface End<F extends UserVirtioDevice = VhostVdpaFile> {
  readonly process: UserProcess;
  readonly net: VirtioUserNet<F>;
}

/** Start a driver in a process of its own on a device that vhost_vdpa holds. */
export async function startEnd(world: World, device: string, options: UserNetOptions = {}): Promise<End> {
  const process = await world.lab.process(`net-${device}`);
  const net = await world.lab.as(process, async (p) => VirtioUserNet.start(p, await vhostPath(p, device), options));
  return { process, net };
}

/** Stop it and end its process. */
export async function stopEnd(world: Pick<World, 'lab'>, end: End<UserVirtioDevice>): Promise<void> {
  await world.lab.as(end.process, () => end.net.stop());
  await world.lab.exitProcess(end.process);
}

/** A world with both ends running. */
export interface Pair {
  readonly world: World;
  readonly a: End;
  readonly b: End;
  /** Send frames from `a`, each taken by `b` before the next. @returns what arrived, per frame */
  readonly oneByOne: (frames: readonly Uint8Array[]) => Promise<Uint8Array[][]>;
  /** Stop both, delete the devices, shut down. @returns what was left behind */
  readonly close: () => Promise<string[]>;
}

/** What everything that has arrived so far is, in order. */
export async function drain(world: Pick<World, 'lab'>, end: End<UserVirtioDevice>): Promise<Uint8Array[]> {
  const got: Uint8Array[] = [];
  await world.lab.as(end.process, async () => {
    for (let more = await end.net.wait(1e6); more.length > 0; more = await end.net.wait(1e6)) got.push(...more);
  });
  return got;
}

/** What differs from the usual pair. */
export interface PairOptions extends WorldOptions {
  readonly a?: UserNetOptions;
  readonly b?: UserNetOptions;
  /** Called before the drivers start. */
  readonly prepare?: (world: World) => void;
}

/** Make a pair: `vdpa0` on virtual function 0, `vdpa1` on 1. */
export async function startPair(options: PairOptions = {}): Promise<Pair> {
  const world = await World.create({ modules: ['vhost_vdpa', 'ifcvf', 'pci_pf_stub'], ...options });
  await world.addDevice('vdpa0', 0, 'vhost_vdpa');
  await world.addDevice('vdpa1', 1, 'vhost_vdpa');
  options.prepare?.(world);
  const a = await startEnd(world, 'vdpa0', options.a);
  const b = await startEnd(world, 'vdpa1', options.b);
  return {
    world, a, b,
    async oneByOne(frames) {
      const got: Uint8Array[][] = [];
      for (const frame of frames) {
        await world.lab.as(a.process, () => a.net.send(frame));
        got.push(await drain(world, b));
      }
      return got;
    },
    async close() {
      await stopEnd(world, a);
      await stopEnd(world, b);
      await world.delDevice('vdpa1');
      await world.delDevice('vdpa0');
      return await world.close();
    },
  };
}
