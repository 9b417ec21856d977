/** The switch between functions: its mode, and ports on it. Mirrors `eswitch.c`, `eswitch_offloads.c`, `esw/devlink_port.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { DevlinkPort } from '@vdpalab/devlink';
import type { Mutex, RwSemaphore } from '@vdpalab/sched';
import { DEVLINK_ESWITCH_MODE_LEGACY, DEVLINK_ESWITCH_MODE_SWITCHDEV, DEVLINK_PORT_FLAVOUR_PCI_SF, DEVLINK_PORT_FLAVOUR_PHYSICAL, ETH_ALEN } from '@vdpalab/uapi';
import type { CoreDev } from './core-dev.ts';
import { withMutex, withWriter } from './lock.ts';
import { refusal } from './refuse.ts';
import { modifyMac } from './vport.ts';

/** `MLX5_VPORT_UPLINK` */
const VPORT_UPLINK = 0xffff;

/** `struct mlx5_vport` of a subfunction. */
interface Vport {
  readonly port: DevlinkPort;
  mac: Uint8Array;
}

/** `struct mlx5_eswitch` of the function that manages it. */
export class Eswitch {
  readonly #dev: CoreDev;
  readonly #modeLock: RwSemaphore;
  /** Serializes settings of ports. */
  readonly #stateLock: Mutex;
  readonly #vports = new Map<number, Vport>();
  #uplink: DevlinkPort | null = null;
  #switchdev = false;
  /** Tell who depends on the mode, before it is left and after it is entered. */
  readonly #modeChanged: (switchdev: boolean) => Promise<void>;

  constructor(dev: CoreDev, modeChanged: (switchdev: boolean) => Promise<void>) {
    this.#dev = dev;
    this.#modeChanged = modeChanged;
    this.#modeLock = dev.k.init_rwsem('mlx5_eswitch mode');
    this.#stateLock = dev.k.mutex_init('mlx5_eswitch state');
    this.#dev.info(`E-Switch: Total vports ${2 + dev.caps.maxSfs}`);
  }

  /** `is_mdev_switchdev_mode` */
  get switchdev(): boolean {
    return this.#switchdev;
  }

  /** PCI function number, which users name as `pfnum`. @see `mlx5_get_dev_index` */
  get pfnum(): number {
    return this.#dev.pdev.devfn & 7;
  }

  /** Register the port to the wire. The devlink lock is held. Linux's Ethernet driver does it in legacy mode, and the switch in the other. */
  async start(): Promise<void> {
    const { k, devlink } = this.#dev;
    this.#uplink = await k.devl_port_register(devlink, {
      attrs: { flavour: DEVLINK_PORT_FLAVOUR_PHYSICAL, phys: { port_number: this.pfnum } }, priv: null,
    }, this.#portIndex(VPORT_UPLINK));
  }

  /** Leave switchdev mode, and its ports with it. The devlink lock is held. @see `mlx5_eswitch_disable` */
  async stop(): Promise<void> {
    await withWriter(this.#dev.k, this.#modeLock, () => this.#disable());
    if (this.#uplink !== null) await this.#dev.k.devl_port_unregister(this.#uplink);
    this.#uplink = null;
  }

  /** @returns DEVLINK_ESWITCH_MODE_* */
  modeGet(): number {
    return this.#switchdev ? DEVLINK_ESWITCH_MODE_SWITCHDEV : DEVLINK_ESWITCH_MODE_LEGACY;
  }

  /** @throws EINVAL for an unknown mode @see `mlx5_devlink_eswitch_mode_set` */
  async modeSet(mode: number): Promise<void> {
    if (mode !== DEVLINK_ESWITCH_MODE_LEGACY && mode !== DEVLINK_ESWITCH_MODE_SWITCHDEV) {
      throw new KernelError('EINVAL', 'mlx5.eswitch.mode', `${this.#dev.device.name}: eswitch mode ${mode} of 0 and 1`);
    }
    await withWriter(this.#dev.k, this.#modeLock, async () => {
      if (mode === this.modeGet()) return;
      await this.#disable();
      if (mode === DEVLINK_ESWITCH_MODE_SWITCHDEV) await this.#enable();
    });
  }

  /** Register a subfunction's port. The devlink lock is held. @returns its index @see `mlx5_esw_offloads_sf_vport_enable` */
  async enableVport(fnId: number, sfnum: number): Promise<number> {
    const index = this.#portIndex(fnId);
    const port = await this.#dev.k.devl_port_register(this.#dev.devlink, {
      attrs: { flavour: DEVLINK_PORT_FLAVOUR_PCI_SF, pci_sf: { controller: 0, pf: this.pfnum, external: false, sf: sfnum } }, priv: fnId,
    }, index);
    this.#vports.set(fnId, { port, mac: new Uint8Array(ETH_ALEN) });
    return index;
  }

  /** Unregister it. The devlink lock is held. @see `mlx5_esw_offloads_sf_vport_disable` */
  async disableVport(fnId: number): Promise<void> {
    const vport = this.#vports.get(fnId)!; // its table enabled it
    this.#vports.delete(fnId);
    await this.#dev.k.devl_port_unregister(vport.port);
  }

  /** @throws EOPNOTSUPP for a port that is no function's @see `mlx5_devlink_port_function_hw_addr_get` */
  hwAddrGet({ priv }: DevlinkPort): Uint8Array {
    const vport = this.#vports.get(priv as number); // of enableVport, or null
    if (vport === undefined) throw new KernelError('EOPNOTSUPP', 'mlx5.eswitch.port', 'the port is no function\'s');
    return vport.mac;
  }

  /** @throws EOPNOTSUPP for a port that is no function's; EINVAL for a multicast address @see `mlx5_devlink_port_function_hw_addr_set` */
  async hwAddrSet({ index, priv }: DevlinkPort, mac: Uint8Array): Promise<void> {
    const vport = this.#vports.get(priv as number); // of enableVport, or null
    if (vport === undefined) throw refusal('EOPNOTSUPP', 'mlx5.eswitch.port-address', `port ${index} is no function's`, 'Port doesn\'t support set hw_addr');
    await withMutex(this.#dev.k, this.#stateLock, async () => {
      if ((mac[0]! & 1) !== 0) throw new KernelError('EINVAL', 'mlx5.eswitch.multicast', `port ${index}: ${mac.join(':')} (decimal) is a group's address`);
      try {
        await modifyMac(this.#dev, priv as number, mac);
      } catch (error) {
        this.#dev.warn(`Failed to mlx5_modify_nic_vport_mac vport(${String(priv)})`);
        throw error;
      }
      vport.mac = mac;
    });
  }

  /** Ports of functions that are there. */
  get activeVports(): number {
    return this.#vports.size + (this.#switchdev ? 1 : 0);
  }

  async #enable(): Promise<void> {
    this.#switchdev = true;
    await this.#dev.adevs.rescan();
    this.#dev.info(`E-Switch: Enable: mode(OFFLOADS), nvfs(0), active vports(${this.activeVports})`);
    await this.#modeChanged(true);
  }

  async #disable(): Promise<void> {
    await this.#modeChanged(false);
    this.#dev.info(`E-Switch: Disable: mode(${this.#switchdev ? 'OFFLOADS' : 'LEGACY'}), nvfs(0), active vports(${this.activeVports})`);
    if (!this.#switchdev) return;
    this.#switchdev = false;
    await this.#dev.adevs.rescan();
  }

  /** @see `mlx5_esw_vport_to_devlink_port_index` */
  #portIndex(vport: number): number {
    return this.#dev.vhca_id * 0x1_0000 + vport;
  }
}
