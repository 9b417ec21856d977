/** One network interface over a virtio device. Mirrors `drivers/net/virtio_net.c` (Linux 6.1). */
import { KernelError, UndoStack } from '@vdpalab/abi';
import type { Atomic, TimerHandle } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { NapiStruct, NetDevice, NetdevSymbols } from '@vdpalab/netdev';
import type { SchedSymbols, Work } from '@vdpalab/sched';
import {
  ETH_ALEN, ETH_MAX_MTU, ETH_MIN_MTU, VIRTIO_F_VERSION_1, VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS, VIRTIO_NET_S_LINK_UP, virtio_net_config,
} from '@vdpalab/uapi';
import type { VirtioSymbols } from '@vdpalab/virtio';
import type { VirtioDevice, VirtioRingSymbols, Virtqueue } from '@vdpalab/virtio-ring';
import { headerLength, ReceiveBuffers, type ReceiveSymbols } from './buffers.ts';
import { ControlQueue, type ControlSymbols } from './control.ts';
import { Transmitter, type TransmitSymbols } from './transmit.ts';

/** What the driver takes of the kernel. */
export type VirtioNetSymbols =
  & ReceiveSymbols & TransmitSymbols & ControlSymbols
  & Pick<VirtioSymbols, 'virtio_has_feature' | 'virtio_find_vqs' | 'virtio_del_vqs' | 'virtio_reset_device' | 'virtio_device_ready'>
  & Pick<VirtioRingSymbols, 'virtqueue_disable_cb' | 'virtqueue_enable_cb_prepare' | 'virtqueue_poll' | 'virtqueue_detach_unused_buf'>
  & Pick<NetdevSymbols, 'alloc_etherdev' | 'free_netdev' | 'register_netdev' | 'unregister_netdev' | 'eth_hw_addr_set' | 'eth_hw_addr_random'
    | 'netif_carrier_on' | 'netif_carrier_off' | 'netif_napi_add' | 'netif_napi_del' | 'napi_enable' | 'napi_disable' | 'napi_schedule'
    | 'napi_complete_done'>
  & Pick<SchedSymbols, 'INIT_WORK' | 'queue_work' | 'cancel_work_sync' | 'system_wq' | 'mod_timer'>
  & Pick<DriverCoreSymbols, 'dev_err'>;

/** Frames one turn of a poll takes. */
const NAPI_POLL_WEIGHT = 64;
/** Pause before filling the receive ring again when memory was short, ns. */
const REFILL_DELAY_NS = 500_000_000;
const config = virtio_net_config.offsets;

/** `struct virtnet_info` */
export class VirtnetInfo {
  readonly #k: VirtioNetSymbols;
  readonly #vdev: VirtioDevice;
  readonly #held = new UndoStack();
  #netdev!: NetDevice;
  #rxq!: Virtqueue;
  #txq!: Virtqueue;
  #rx!: ReceiveBuffers;
  #tx!: Transmitter;
  /** `null` when the device takes no commands. */
  #control: ControlQueue | null = null;
  #rxNapi!: NapiStruct;
  #txNapi!: NapiStruct;
  #open = false;
  readonly #configWork: Work;
  readonly #refillWork: Work;
  #refillTimer: TimerHandle | null = null;

  constructor(k: VirtioNetSymbols, vdev: VirtioDevice) {
    this.#k = k;
    this.#vdev = vdev;
    this.#configWork = k.INIT_WORK(`virtio-net config ${vdev.dev.name}`, () => this.#updateCarrier());
    this.#refillWork = k.INIT_WORK(`virtio-net refill ${vdev.dev.name}`, async () => this.#refill());
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
    this.#netdev = k.alloc_etherdev('eth%d', {
      ndo_open: () => this.#start(),
      ndo_stop: () => this.#stop(),
      ndo_start_xmit: (skb, dev) => this.#tx.send(skb, dev),
      get_link_ksettings: () => ({ speed: -1, duplex: 'unknown' }),
      ndo_set_mac_address: (_, addr) => this.#setMac(addr),
    }, this.#vdev.dev, this);
    this.#held.push('netdev', () => k.free_netdev(this.#netdev));
    await this.#readConfig();
    this.#held.push('config work', async () => void (await k.cancel_work_sync(this.#configWork)));
    await this.#findQueues();
    await k.register_netdev(this.#netdev);
    this.#held.push('registered netdev', () => k.unregister_netdev(this.#netdev));
    await k.virtio_device_ready(this.#vdev);
    k.netif_carrier_off(this.#netdev); // so that the state is known even when the carrier is found on
    await this.#updateCarrier();
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

  async #findQueues(): Promise<void> {
    const k = this.#k;
    const commands = k.virtio_has_feature(this.#vdev, VIRTIO_NET_F_CTRL_VQ);
    const [rxq, txq, cvq] = await k.virtio_find_vqs(this.#vdev, [
      { name: 'input.0', callback: (vq) => this.#interrupt(vq, this.#rxNapi) },
      { name: 'output.0', callback: (vq) => this.#interrupt(vq, this.#txNapi) },
      ...(commands ? [{ name: 'control', callback: null }] : []),
    ]);
    if (rxq === null || rxq === undefined || txq === null || txq === undefined) throw new Error(`${this.#vdev.dev.name}: queues were skipped`);
    this.#held.push('queues', () => this.#dropQueues());
    if (cvq !== null && cvq !== undefined) {
      const control = new ControlQueue(k, this.#vdev, cvq);
      this.#held.push('control', () => control.destroy());
      this.#control = control;
    }
    this.#rxq = rxq;
    this.#txq = txq;
    const mergeable = k.virtio_has_feature(this.#vdev, VIRTIO_NET_F_MRG_RXBUF);
    const header = headerLength(mergeable || k.virtio_has_feature(this.#vdev, VIRTIO_F_VERSION_1));
    this.#rx = new ReceiveBuffers(k, rxq, this.#netdev, mergeable, header);
    this.#tx = new Transmitter(k, txq, header);
    this.#held.push('transmit header', () => this.#tx.destroy());
    this.#rxNapi = k.netif_napi_add(this.#netdev, 'rx', NAPI_POLL_WEIGHT, (budget) => this.#pollRx(budget));
    this.#txNapi = k.netif_napi_add(this.#netdev, 'tx', NAPI_POLL_WEIGHT, () => this.#pollTx());
    this.#held.push('napi', () => {
      k.netif_napi_del(this.#rxNapi);
      k.netif_napi_del(this.#txNapi);
    });
    this.#held.push('device', () => this.#resetAndDrain());
  }

  /** Stop the device, then take back what it still had. */
  async #resetAndDrain(): Promise<void> {
    const k = this.#k;
    await k.virtio_reset_device(this.#vdev);
    for (let t = k.virtqueue_detach_unused_buf(this.#rxq); t !== undefined; t = k.virtqueue_detach_unused_buf(this.#rxq)) this.#rx.free(t);
    for (let t = k.virtqueue_detach_unused_buf(this.#txq); t !== undefined; t = k.virtqueue_detach_unused_buf(this.#txq)) this.#tx.free(t);
  }

  async #dropQueues(): Promise<void> {
    await this.#k.virtio_del_vqs(this.#vdev);
  }

  /** `virtnet_set_mac_address`: a device of before virtio 1.0 that takes no command has its address written into the configuration. */
  async #setMac(addr: Uint8Array): Promise<void> {
    const k = this.#k;
    const vdev = this.#vdev;
    if (this.#control !== null && k.virtio_has_feature(vdev, VIRTIO_NET_F_CTRL_MAC_ADDR)) {
      if (!(await this.#control.setMac(addr))) {
        k.dev_warn(vdev.dev, 'Failed to set mac address by vq command.');
        throw new KernelError('EINVAL', 'virtio_net.mac.command', `${vdev.dev.name}: the device refused ${[...addr].map((byte) => byte.toString(16)).join(':')}`);
      }
    } else if (k.virtio_has_feature(vdev, VIRTIO_NET_F_MAC) && !k.virtio_has_feature(vdev, VIRTIO_F_VERSION_1)) {
      for (let i = 0; i < ETH_ALEN; i++) await vdev.config.set(vdev, config.mac + i, addr.subarray(i, i + 1));
    }
    k.eth_hw_addr_set(this.#netdev, addr);
  }

  async #start(): Promise<void> {
    const k = this.#k;
    this.#open = true;
    if (!this.#rx.fill()) k.queue_work(k.system_wq, this.#refillWork);
    for (const napi of [this.#rxNapi, this.#txNapi]) {
      k.napi_enable(napi);
      k.napi_schedule(napi); // what was used before interrupts were listened to
    }
  }

  async #stop(): Promise<void> {
    this.#open = false;
    await this.#k.cancel_work_sync(this.#refillWork);
    this.#refillTimer?.cancel();
    await this.#k.napi_disable(this.#rxNapi);
    await this.#k.napi_disable(this.#txNapi);
  }

  #interrupt(vq: Virtqueue, napi: NapiStruct): Atomic {
    if (this.#k.napi_schedule(napi)) this.#k.virtqueue_disable_cb(vq);
    return undefined;
  }

  #pollRx(budget: number): number {
    const k = this.#k;
    const received = this.#rx.receive(budget);
    if (this.#rxq.num_free > Math.min(budget, this.#rxq.num_max) / 2 && !this.#rx.fill()) k.queue_work(k.system_wq, this.#refillWork);
    if (received < budget) this.#complete(this.#rxq, this.#rxNapi, received);
    return received;
  }

  #pollTx(): number {
    this.#tx.reclaim();
    if (this.#netdev.queue_stopped && this.#tx.hasRoom) this.#k.netif_wake_queue(this.#netdev);
    this.#complete(this.#txq, this.#txNapi, 0);
    return 0;
  }

  /** Interrupts on again, unless something was used in between. */
  #complete(vq: Virtqueue, napi: NapiStruct, work: number): void {
    const k = this.#k;
    const mark = k.virtqueue_enable_cb_prepare(vq);
    if (k.napi_complete_done(napi, work)) {
      if (k.virtqueue_poll(vq, mark)) this.#interrupt(vq, napi);
    } else {
      k.virtqueue_disable_cb(vq);
    }
  }

  /** Fill the receive ring, now or, when memory is short, later. */
  #refill(): undefined {
    if (!this.#open || this.#rx.fill()) return;
    this.#refillTimer = this.#k.mod_timer('virtio-net refill', REFILL_DELAY_NS, (): undefined => {
      this.#k.queue_work(this.#k.system_wq, this.#refillWork);
    });
  }

  async #updateCarrier(): Promise<void> {
    const k = this.#k;
    const up = !k.virtio_has_feature(this.#vdev, VIRTIO_NET_F_STATUS) || ((await this.#config16(config.status)) & VIRTIO_NET_S_LINK_UP) !== 0;
    if (up) k.netif_carrier_on(this.#netdev);
    else k.netif_carrier_off(this.#netdev);
  }

  async #config16(offset: number): Promise<number> {
    const bytes = await this.#vdev.config.get(this.#vdev, offset, 2);
    return (bytes[0] as number) | ((bytes[1] as number) << 8);
  }
}
