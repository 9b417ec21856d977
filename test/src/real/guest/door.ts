/** A lab whose vhost-vdpa device a QEMU of the host opens: the machine behind a guest's network card. */
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { programs } from '@vdpalab/cli';
import { mountLab, type Mounted } from '@vdpalab/fusefs';
import type { Lab } from '@vdpalab/lab';
import { ConnectxFunction } from '@vdpalab/machine';
import type { Responder } from '@vdpalab/machine';
import { Player } from '@vdpalab/shell';
import { vdpaDevAdd, vdpaDevDel } from '@vdpalab/user';
import { bindTo, claim, vhostPath, World } from '../../support/index.ts';
import type { Peer } from './traffic.ts';

/** What stands behind the device file. */
export interface DoorOptions {
  /** A virtual function of the N3000 on a switch with a responder, a virtio function with packed rings or a ConnectX subfunction there, or the
   *  simulator that sends frames back. */
  readonly parent: 'ifcvf' | 'vp_vdpa' | 'mlx5_vdpa' | 'vdpasim_net';
  /** Of the virtual function or subfunction; 1 when absent. */
  readonly queuePairs?: number;
  /** Without the features that QEMU 7.2 does not take for its shadow rings. */
  readonly shadowable?: boolean;
}

const DEVICE = 'vdpa0';
/** Where the virtio function is. */
const PLAIN = '0000:00:04.0';
/** Where the ConnectX is. */
const CONNECTX = '0000:00:05.0';
/** MAC address of a simulated device. */
const SIM_MAC = Uint8Array.of(0x52, 0x54, 0, 0, 0, 0x51);

/** A lab on a mount, with one vDPA device bound to vhost_vdpa. */
export class LabDoor {
  readonly world: World;
  /** Of the device file, on the host. */
  readonly path: string;
  /** Where the responder is, for guests. */
  readonly peer: Peer = { ip: '10.0.0.1' };
  readonly #mounted: Mounted;
  /** What the mount complained about. */
  readonly #bugs: string[];

  private constructor(world: World, mounted: Mounted, path: string, bugs: string[]) {
    this.world = world;
    this.#mounted = mounted;
    this.path = path;
    this.#bugs = bugs;
  }

  /** Boot, load, make the device, mount. */
  static async open(options: DoorOptions): Promise<LabDoor> {
    const { parent } = options;
    const world = await World.create({
      clock: 'paced', mtu: 1500, responders: [{}], modules: ['vhost_vdpa', 'pci_pf_stub', parent === 'vdpasim_net' ? 'vdpa_sim_net' : parent],
      functions: [
        ...(parent === 'vp_vdpa' ? [{ at: PLAIN.slice(5), model: 'virtio-net', disable_legacy: true, packed: true, link: 'sw0' } as const] : []),
        ...(parent === 'mlx5_vdpa' ? [{ at: CONNECTX.slice(5), model: 'connectx', subfunctions: 1, queue_pairs: options.queuePairs ?? 1, link: 'sw0' } as const] : []),
      ],
      ...(options.queuePairs === undefined ? {} : { queuePairs: options.queuePairs }),
      ...(options.shadowable === true ? { without: ['VIRTIO_F_ORDER_PLATFORM', 'VIRTIO_RING_F_INDIRECT_DESC'] as const } : {}),
    });
    const { lab } = world;
    if (parent === 'ifcvf') {
      await world.addDevice(DEVICE, 1, 'vhost_vdpa');
    } else {
      if (parent === 'mlx5_vdpa') await activate(lab);
      await lab.user(async (p) => {
        if (parent === 'mlx5_vdpa') {
          await vdpaDevAdd(p, DEVICE, 'auxiliary/mlx5_core.sf.1', { maxVqp: options.queuePairs ?? 1 });
        } else if (parent === 'vp_vdpa') {
          await claim(p, PLAIN, 'vp-vdpa');
          await vdpaDevAdd(p, DEVICE, `pci/${PLAIN}`);
        } else {
          await vdpaDevAdd(p, DEVICE, parent, { mac: SIM_MAC });
        }
        await bindTo(p, DEVICE, 'vhost_vdpa');
      });
    }
    const bugs: string[] = [];
    const mounted = await mountLab(lab, mkdtempSync(join(tmpdir(), 'door-')), { onBug: (text) => bugs.push(text) });
    return new LabDoor(world, mounted, join(mounted.dir, await lab.user((p) => vhostPath(p, DEVICE))), bugs);
  }

  get responder(): Responder {
    const found = this.world.lab.pci.responders.get('responder');
    if (found === undefined) throw new Error('no responder');
    return found;
  }

  /** The hardware of the subfunction. */
  get subfunction(): ConnectxFunction['vhca'] {
    const found = this.world.lab.pci.find(CONNECTX.slice(5));
    if (!(found instanceof ConnectxFunction)) throw new Error('no ConnectX');
    return found.subfunctions.slots[0]!.vhca; // it has one
  }

  /** QEMU's arguments for a card on the device. @param device more properties of virtio-net-pci; @param netdev of the back-end */
  args(netdev = '', device = ''): readonly string[] {
    const more = (text: string): string => (text === '' ? '' : `,${text}`);
    return [
      '-netdev', `type=vhost-vdpa,vhostdev=${this.path},id=n0${more(netdev)}`,
      '-device', `virtio-net-pci,netdev=n0,romfile=${more(device)}`,
    ];
  }

  /** Unmount, take the device away, shut down. @returns what was left behind, and what went wrong meanwhile */
  async close(): Promise<string[]> {
    await this.#mounted.unmount();
    rmdirSync(this.#mounted.dir);
    await this.world.lab.user((p) => vdpaDevDel(p, DEVICE));
    return [...await this.world.close(), ...this.#bugs];
  }
}

/** A subfunction of the ConnectX, as an administrator makes one. */
async function activate(lab: Lab): Promise<void> {
  const player = await Player.open(lab, { applets: programs });
  for (const command of [
    `devlink dev eswitch set pci/${CONNECTX} mode switchdev`, `devlink port add pci/${CONNECTX} flavour pcisf pfnum 0 sfnum 1`,
    `devlink port function set pci/${CONNECTX}/32768 state active`,
    'until [ -e /sys/bus/auxiliary/devices/mlx5_core.vnet.1/driver ]; do sleep 0.01; done', // an event of the function makes it
  ]) {
    const { out } = await player.play(command);
    if (out.at(-1) !== 'exit: 0') throw new Error(`${command}: ${out.join(', ')}`);
  }
  await player.close();
}
