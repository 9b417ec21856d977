/** A vDPA device of a world behind a vhost-user socket, for front-ends in tests. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { UserProcess } from '@vdpalab/lab';
import { EthernetSwitch, InjectionPort } from '@vdpalab/machine';
import { VdpaApp, type RteVhost, type VhostOptions } from '@vdpalab/vhost-user';
import { bindVfio, unbindVfio } from './vfio.ts';
import { World, type WorldOptions } from './world.ts';

/** A running back-end. */
export interface BackEnd {
  readonly world: World;
  readonly path: string;
  readonly p: UserProcess;
  readonly app: VdpaApp;
  readonly vhost: RteVhost;
  /** A port of the device's switch. */
  readonly outside: InjectionPort;
  /** What the library has logged. */
  readonly log: readonly string[];
  /** Run something in the serving process. */
  readonly inside: <T>(body: () => Promise<T> | T) => Promise<T>;
  /** Wait until the library has logged a line like this. */
  readonly said: (pattern: RegExp) => Promise<void>;
  /** Take all down. @returns what was left behind */
  readonly close: () => Promise<string[]>;
}

/** How a back-end is made. */
export interface BackEndOptions extends VhostOptions {
  readonly world?: WorldOptions;
  /** Virtual function 0 in the hands of the user-mode driver, instead of a vDPA device of the kernel's. */
  readonly ifc?: boolean;
  /** Arguments of that driver; `vdpa=1` when absent. */
  readonly devargs?: string;
}

/** Put virtual function 0 behind a socket: as `vdpa0`, or by the IFC driver. */
export async function startBackEnd({ ifc = false, devargs = 'vdpa=1', ...options }: BackEndOptions = {}): Promise<BackEnd> {
  const modules = ifc ? ['vfio_pci', 'pci_pf_stub'] : ['vhost_vdpa', 'ifcvf', 'pci_pf_stub'];
  const world = await World.create({ modules, mtu: 1500, queueSize: 1024, ...options.world, clock: 'paced' });
  const { lab } = world;
  if (ifc) await lab.user((p) => bindVfio(p, world.vf(0)));
  else await world.addDevice('vdpa0', 0, 'vhost_vdpa');
  const p = await lab.process('vhost-user');
  const folder = mkdtempSync(join(tmpdir(), 'vhost-user-'));
  const path = join(folder, 's');
  const log: string[] = [];
  const listeners = new Set<() => void>();
  const inside = <T>(body: () => Promise<T> | T): Promise<T> => lab.as(p, async () => body());
  const app = await inside(() => new VdpaApp(lab, p, {
    ...options,
    log: (text) => {
      log.push(text);
      for (const listener of listeners) listener();
    },
  }));
  const events = lab.start(p, 'vhost-events', () => app.run());
  await inside(() => app.create(path, ifc ? `${world.vf(0)},${devargs}` : 'vdpa0'));
  const sw0 = lab.pci.networks.get('sw0');
  if (!(sw0 instanceof EthernetSwitch)) throw new Error('sw0 is no switch');
  const outside = new InjectionPort(sw0.attach('outside'));
  return {
    world, path, p, app, outside, log, inside, vhost: app.vhost,
    said: (pattern) => new Promise((resolve) => {
      const look = (): void => {
        if (!log.some((line) => pattern.test(line))) return;
        listeners.delete(look);
        resolve();
      };
      listeners.add(look);
      look();
    }),
    close: async () => {
      app.quit();
      await inside(() => lab.hw.sched.join(events));
      await lab.exitProcess(p);
      outside.port.unplug();
      rmSync(folder, { recursive: true });
      if (ifc) await lab.user((q) => unbindVfio(q, world.vf(0)));
      else await world.delDevice('vdpa0');
      return await world.close();
    },
  };
}

/** A frame for a guest's network card, whose bytes depend on its number. */
export function numberedFrame(n: number, length = 64): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, i) => (i * 11 + n * 29 + (n >> 3)) & 0xff);
  bytes.set([0x02, 0, 0, 0, 0, 0x99, 0x02, 0, 0, 0, 0, n & 0xff, 0x88, 0xb5]);
  return bytes;
}

/** Wait for frames that come out of the network. */
export async function framesOutside({ outside, world }: BackEnd, count: number): Promise<Uint8Array[]> {
  const all = outside.take();
  while (all.length < count) {
    await new Promise<void>((resolve) => {
      outside.onReceive = () => {
        resolve();
        return undefined;
      };
      world.lab.hw.sched.post('look', () => undefined);
    });
    all.push(...outside.take());
  }
  return all;
}

/** Send frames into the network from outside. */
export function injectOutside({ outside, world }: BackEnd, frames: readonly Uint8Array[]): Promise<void> {
  return world.lab.kernel(async () => {
    for (const frame of frames) if (!outside.inject(frame)) throw new Error('no room for a frame');
  });
}
