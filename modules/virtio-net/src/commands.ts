/** What an interface has its device do by commands. Mirrors `drivers/net/virtio_net.c` (Linux 6.1); the rtnl lock is held. */
import { KernelError } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { NetDevice } from '@vdpalab/netdev';
import {
  ETH_ALEN, IFF_ALLMULTI, IFF_PROMISC, VIRTIO_F_VERSION_1, VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, VIRTIO_NET_CTRL_MAC,
  VIRTIO_NET_CTRL_MAC_ADDR_SET, VIRTIO_NET_CTRL_MAC_TABLE_SET, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, VIRTIO_NET_CTRL_RX,
  VIRTIO_NET_CTRL_RX_ALLMULTI, VIRTIO_NET_CTRL_RX_PROMISC, VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, VIRTIO_NET_CTRL_VLAN_DEL,
  VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MQ, virtio_net_config,
} from '@vdpalab/uapi';
import type { VirtioSymbols } from '@vdpalab/virtio';
import type { VirtioDevice } from '@vdpalab/virtio-ring';
import type { ControlQueue } from './control.ts';

/** What they take of the kernel. */
export type CommandSymbols = Pick<VirtioSymbols, 'virtio_has_feature'> & Pick<DriverCoreSymbols, 'dev_warn'>;

const u16 = (n: number): Uint8Array => Uint8Array.of(n, n >>> 8);
/** `struct virtio_net_ctrl_mac` without addresses. */
const NO_ADDRESSES = new Uint8Array(4);

/** The commands one device takes. */
export class Commands {
  readonly #k: CommandSymbols;
  readonly #vdev: VirtioDevice;
  readonly #dev: NetDevice;
  /** `null` when the device takes none. */
  readonly #control: ControlQueue | null;

  constructor(k: CommandSymbols, vdev: VirtioDevice, dev: NetDevice, control: ControlQueue | null) {
    this.#k = k;
    this.#vdev = vdev;
    this.#dev = dev;
    this.#control = control;
  }

  /** `virtnet_set_mac_address`: a device of before virtio 1.0 that takes no command has its address written into the configuration. @throws EINVAL */
  async setMac(addr: Uint8Array): Promise<void> {
    const vdev = this.#vdev;
    if (this.#has(VIRTIO_NET_F_CTRL_MAC_ADDR)) {
      if (await this.#send(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, addr)) return;
      this.#k.dev_warn(vdev.dev, 'Failed to set mac address by vq command.');
      throw new KernelError('EINVAL', 'virtio_net.mac.command', `${vdev.dev.name}: the device refused ${[...addr].map((byte) => byte.toString(16)).join(':')}`);
    }
    if (!this.#k.virtio_has_feature(vdev, VIRTIO_NET_F_MAC) || this.#k.virtio_has_feature(vdev, VIRTIO_F_VERSION_1)) return;
    for (let i = 0; i < ETH_ALEN; i++) await vdev.config.set(vdev, virtio_net_config.offsets.mac + i, addr.subarray(i, i + 1));
  }

  /** `virtnet_set_rx_mode`: what comes in besides frames for the address; of addresses there are no lists. */
  async setRxMode(): Promise<void> {
    if (!this.#has(VIRTIO_NET_F_CTRL_RX)) return;
    const [promisc, allmulti] = [(this.#dev.flags & IFF_PROMISC) !== 0, (this.#dev.flags & IFF_ALLMULTI) !== 0];
    await this.#tried(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, [Uint8Array.of(Number(promisc))], `Failed to ${promisc ? 'en' : 'dis'}able promisc mode.`);
    await this.#tried(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, [Uint8Array.of(Number(allmulti))], `Failed to ${allmulti ? 'en' : 'dis'}able allmulti mode.`);
    await this.#tried(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, [NO_ADDRESSES, NO_ADDRESSES], 'Failed to set MAC filter table.');
  }

  /** `virtnet_vlan_rx_add_vid` */
  async addVid(vid: number): Promise<void> {
    if (this.#has(VIRTIO_NET_F_CTRL_VLAN)) await this.#tried(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, [u16(vid)], `Failed to add VLAN ID ${vid}.`);
  }

  /** `virtnet_vlan_rx_kill_vid` */
  async killVid(vid: number): Promise<void> {
    if (this.#has(VIRTIO_NET_F_CTRL_VLAN)) await this.#tried(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, [u16(vid)], `Failed to kill VLAN ID ${vid}.`);
  }

  /** `_virtnet_set_queues`. @throws EINVAL when the device refuses; nothing where it has one pair */
  async setPairs(pairs: number): Promise<void> {
    if (!this.#has(VIRTIO_NET_F_MQ)) return;
    if (await this.#tried(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, [u16(pairs)], `Fail to set num of queue pairs to ${pairs}`)) return;
    throw new KernelError('EINVAL', 'virtio_net.pairs.command', `${this.#vdev.dev.name}: the device refused ${pairs} queue pairs`);
  }

  /** `virtnet_ack_link_announce` */
  async ackAnnounce(): Promise<void> {
    await this.#tried(VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, [], 'Failed to ack link announce.');
  }

  #has(feature: number): boolean {
    return this.#control !== null && this.#k.virtio_has_feature(this.#vdev, feature);
  }

  async #send(kind: number, cmd: number, ...data: readonly Uint8Array[]): Promise<boolean> {
    return await this.#control?.send(kind, cmd, ...data) ?? false;
  }

  async #tried(kind: number, cmd: number, data: readonly Uint8Array[], failure: string): Promise<boolean> {
    const done = await this.#send(kind, cmd, ...data);
    if (!done) this.#k.dev_warn(this.#dev.dev, failure);
    return done;
  }
}
