/** The main chain: packet socket, virtio-net, virtio-vdpa, IFCVF, switch, IFCVF, vhost-vdpa, process. */
import type { UserProcess } from '@vdpalab/lab';
import { drain, startEnd, stopEnd, type End } from './pair.ts';
import { interfaceOf, linkUp, packetSocket, sendAll } from './netdev.ts';
import { World, type WorldOptions } from './world.ts';
import type { UserNetOptions } from '@vdpalab/user';

/** How a chain is made. */
export interface ChainOptions extends WorldOptions {
  /** Names of the vDPA devices: the socket's, the process's. */
  readonly names?: readonly [string, string];
  /** MTU of the interface; 1500 when absent. */
  readonly linkMtu?: number;
  readonly receiver?: UserNetOptions;
}

/** A running chain. */
export interface Chain {
  readonly world: World;
  readonly names: readonly [string, string];
  /** The interface over virtual function 0. */
  readonly link: string;
  readonly sender: UserProcess;
  readonly receiver: End;
  /** Send frames through the socket and take what arrives. */
  readonly pass: (frames: readonly Uint8Array[]) => Promise<Uint8Array[]>;
  /** End both processes, delete the devices, shut down. @returns what was left behind */
  readonly close: () => Promise<string[]>;
}

/** Build the chain on virtual functions 0 and 1. */
export async function startChain(options: ChainOptions = {}): Promise<Chain> {
  const world = await World.create(options);
  const { lab } = world;
  const names = options.names ?? ['vdpa0', 'vdpa1'];
  await world.addDevice(names[0], 0, 'virtio_vdpa');
  await world.addDevice(names[1], 1, 'vhost_vdpa');
  const link = await lab.user((p) => interfaceOf(p, world.vf(0)));
  const receiver = await startEnd(world, names[1], options.receiver);
  await linkUp(lab, link, options.linkMtu ?? 1500);
  const sender = await lab.process('sender');
  const socket = await lab.as(sender, (p) => packetSocket(p, link));
  return {
    world, names, link, sender, receiver,
    async pass(frames) {
      await lab.as(sender, (p) => sendAll(p, socket, frames));
      return await drain(world, receiver);
    },
    async close() {
      await lab.exitProcess(sender);
      await stopEnd(world, receiver);
      await world.delDevice(names[1]);
      await world.delDevice(names[0]);
      return await world.close();
    },
  };
}

/** Frames in hex: a difference is found by index and by byte. */
export const hexOf = (frames: readonly Uint8Array[]): string[] => frames.map((f) => Buffer.from(f).toString('hex'));
