/** One network interface over a virtio device. Mirrors `drivers/net/virtio_net.c` (Linux 6.1). */
import { isKernelError, KernelError, UndoStack } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { NetDevice, NetdevSymbols } from '@vdpalab/netdev';
import type { Work } from '@vdpalab/sched';
import {
  ETH_MAX_MTU, ETH_MIN_MTU, VIRTIO_F_VERSION_1, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN, VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_MAC, VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS, VIRTIO_NET_S_ANNOUNCE,
  VIRTIO_NET_S_LINK_UP, virtio_net_config,
} from '@vdpalab/uapi';
import type { VirtioSymbols, VqRequest } from '@vdpalab/virtio';
import type { VirtioDevice, Virtqueue } from '@vdpalab/virtio-ring';
import { headerLength } from './buffers.ts';
import { Commands, type CommandSymbols } from './commands.ts';
import { ControlQueue, type ControlSymbols } from './control.ts';
import { QueuePair, type PairSymbols } from './queue-pair.ts';

/** What the driver takes of the kernel. */
export type VirtioNetSymbols =
  & PairSymbols & ControlSymbols & CommandSymbols
  & Pick<VirtioSymbols, 'virtio_has_feature' | 'virtio_find_vqs' | 'virtio_del_vqs' | 'virtio_reset_device' | 'virtio_device_ready'>
  & Pick<NetdevSymbols, 'alloc_etherdev_mqs' | 'free_netdev' | 'register_netdevice' | 'unregister_netdev' | 'netif_set_real_num_queues' | 'rtnl_lock'
    | 'rtnl_unlock' | 'netdev_notify_peers' | 'eth_hw_addr_set' | 'eth_hw_addr_random' | 'netif_carrier_on' | 'netif_carrier_off'>
  & Pick<DriverCoreSymbols, 'dev_err'>;

/** Processors there are: as many pairs are used at first, where the device has them. */
const ONLINE_CPUS = 1;
const config = virtio_net_config.offsets;

/** `struct virtnet_info` */
export class VirtnetInfo {
  readonly #k: VirtioNetSymbols;
  readonly #vdev: VirtioDevice;
  readonly #held = new UndoStack();
  #netdev!: NetDevice;
  #pairs: readonly QueuePair[] = [];
  /** Pairs the device receives on. */
  #used = 1;
  #commands!: Commands;
  readonly #configWork: Work;

  constructor(k: VirtioNetSymbols, vdev: VirtioDevice) {
    this.#k = k;
    this.#vdev = vdev;
    this.#configWork = k.INIT_WORK(`virtio-net config ${vdev.dev.name}`, () => this.#readStatus());
  }

  /** `virtnet_probe`; what fails leaves nothing behind. */
  async probe(): Promise<void> {
    try {
      await this.#setUp();
    } catch (error) {
      await this.#held.run();
      throw error;
    }
  }

  /** `virtnet_remove` */
  async remove(): Promise<void> {
    await this.#k.cancel_work_sync(this.#configWork); // no handler looks at the device any more
    await this.#held.run();
  }

  /** The configuration changed: atomic. */
  configChanged(): Atomic {
    this.#k.queue_work(this.#k.system_wq, this.#configWork);
    return undefined;
  }

  async #setUp(): Promise<void> {
    const k = this.#k;
    const pairs = await this.#pairsOffered();
    this.#netdev = k.alloc_etherdev_mqs('eth%d', {
      ndo_open: async () => this.#pairs.forEach((pair) => pair.start()), // those not in use, too: they may be at any time
      ndo_stop: () => this.#stop(),
      ndo_start_xmit: (skb) => this.#pairs[skb.queue_mapping]!.send(skb),
      get_link_ksettings: () => ({ speed: -1, duplex: 'unknown' }),
      ndo_set_mac_address: async (dev, addr) => {
        await this.#commands.setMac(addr);
        k.eth_hw_addr_set(dev, addr);
      },
      ndo_set_rx_mode: () => this.#commands.setRxMode(),
      ndo_vlan_rx_add_vid: (_, vid) => this.#commands.addVid(vid),
      ndo_vlan_rx_kill_vid: (_, vid) => this.#commands.killVid(vid),
      get_channels: () => ({ max_combined: pairs, combined_count: this.#used }),
      set_channels: (_, count) => this.#setChannels(count),
    }, this.#vdev.dev, this, pairs);
    this.#held.push('netdev', () => k.free_netdev(this.#netdev));
    await this.#readConfig();
    this.#held.push('config work', async () => void (await k.cancel_work_sync(this.#configWork)));
    await this.#findQueues(pairs);
    this.#used = Math.min(pairs, ONLINE_CPUS);
    k.netif_set_real_num_queues(this.#netdev, this.#used);
    await this.#locked(async () => {
      await k.register_netdevice(this.#netdev);
      this.#held.push('registered netdev', () => k.unregister_netdev(this.#netdev));
      await k.virtio_device_ready(this.#vdev);
      await this.#commands.setPairs(this.#used).catch((error: unknown) => {
        if (!isKernelError(error)) throw error; // the device stays at one pair, and it is in the log
      });
    });
    k.netif_carrier_off(this.#netdev); // so that the state is known even when the carrier is found on
    await this.#readStatus();
  }

  /** Pairs the device has: one, unless it says more and takes commands. */
  async #pairsOffered(): Promise<number> {
    const k = this.#k;
    if (!k.virtio_has_feature(this.#vdev, VIRTIO_NET_F_MQ) || !k.virtio_has_feature(this.#vdev, VIRTIO_NET_F_CTRL_VQ)) return 1;
    const pairs = await this.#config16(config.max_virtqueue_pairs);
    return pairs < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || pairs > VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX ? 1 : pairs;
  }

  async #readConfig(): Promise<void> {
    const k = this.#k;
    const dev = this.#netdev;
    dev.min_mtu = ETH_MIN_MTU;
    dev.max_mtu = ETH_MAX_MTU;
    if (k.virtio_has_feature(this.#vdev, VIRTIO_NET_F_MAC)) k.eth_hw_addr_set(dev, await this.#vdev.config.get(this.#vdev, config.mac, 6));
    else k.eth_hw_addr_random(dev);
    if (k.virtio_has_feature(this.#vdev, VIRTIO_NET_F_MTU)) {
      const mtu = await this.#config16(config.mtu);
      if (mtu < dev.min_mtu) {
        k.dev_err(this.#vdev.dev, `device MTU appears to have changed it is now ${mtu} < ${dev.min_mtu}`);
        throw new KernelError('EINVAL', 'virtio_net.probe.mtu', `${this.#vdev.dev.name}: MTU ${mtu} is below ${dev.min_mtu}`);
      }
      dev.mtu = mtu;
      dev.max_mtu = mtu;
    }
  }

  /** `virtnet_find_vqs`: receive and transmit queues in turn, then the one for commands. */
  async #findQueues(pairs: number): Promise<void> {
    const k = this.#k;
    const commands = k.virtio_has_feature(this.#vdev, VIRTIO_NET_F_CTRL_VQ);
    const requests: VqRequest[] = [];
    for (let n = 0; n < pairs; n++) {
      requests.push({ name: `input.${n}`, callback: () => this.#pairs[n]?.rxInterrupt() }, { name: `output.${n}`, callback: () => this.#pairs[n]?.txInterrupt() });
    }
    if (commands) requests.push({ name: 'control', callback: null });
    const found = await k.virtio_find_vqs(this.#vdev, requests);
    this.#held.push('queues', () => k.virtio_del_vqs(this.#vdev));
    const queue = (n: number): Virtqueue => {
      const vq = found[n];
      if (vq === null || vq === undefined) throw new Error(`${this.#vdev.dev.name}: queues were skipped`);
      return vq;
    };
    const control = commands ? new ControlQueue(k, this.#vdev, queue(2 * pairs)) : null;
    if (control !== null) this.#held.push('control', () => control.destroy());
    this.#commands = new Commands(k, this.#vdev, this.#netdev, control);
    const mergeable = k.virtio_has_feature(this.#vdev, VIRTIO_NET_F_MRG_RXBUF);
    const header = headerLength(mergeable || k.virtio_has_feature(this.#vdev, VIRTIO_F_VERSION_1));
    const made: QueuePair[] = [];
    this.#pairs = made;
    for (let n = 0; n < pairs; n++) {
      const pair = new QueuePair(k, this.#netdev, { rxq: queue(2 * n), txq: queue(2 * n + 1), mergeable, header });
      made.push(pair);
      this.#held.push(`pair ${n}`, () => pair.destroy());
    }
    this.#held.push('device', () => this.#resetAndDrain());
  }

  /** Stop the device, then take back what it still had. */
  async #resetAndDrain(): Promise<void> {
    await this.#k.virtio_reset_device(this.#vdev);
    for (const pair of this.#pairs) pair.drain();
  }

  async #stop(): Promise<void> {
    for (const pair of this.#pairs) await pair.stop();
  }

  /** `virtnet_set_channels`. @throws EINVAL */
  async #setChannels(count: number): Promise<void> {
    if (count < 1 || count > this.#pairs.length) {
      throw new KernelError('EINVAL', 'virtio_net.channels.count', `${this.#vdev.dev.name}: ${count} queue pairs, 1 to ${this.#pairs.length}`);
    }
    await this.#commands.setPairs(count);
    this.#used = count;
    this.#k.netif_set_real_num_queues(this.#netdev, count);
  }

  /** `virtnet_config_changed_work` */
  async #readStatus(): Promise<void> {
    const k = this.#k;
    const status = k.virtio_has_feature(this.#vdev, VIRTIO_NET_F_STATUS) ? await this.#config16(config.status) : VIRTIO_NET_S_LINK_UP;
    if ((status & VIRTIO_NET_S_ANNOUNCE) !== 0) {
      k.netdev_notify_peers(this.#netdev);
      await this.#locked(() => this.#commands.ackAnnounce());
    }
    if ((status & VIRTIO_NET_S_LINK_UP) !== 0) k.netif_carrier_on(this.#netdev);
    else k.netif_carrier_off(this.#netdev);
  }

  async #locked(body: () => Promise<void>): Promise<void> {
    await this.#k.rtnl_lock();
    try {
      await body();
    } finally {
      this.#k.rtnl_unlock();
    }
  }

  async #config16(offset: number): Promise<number> {
    const bytes = await this.#vdev.config.get(this.#vdev, offset, 2);
    return (bytes[0] as number) | ((bytes[1] as number) << 8);
  }
}
