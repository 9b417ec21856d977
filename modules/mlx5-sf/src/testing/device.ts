/** A vDPA device of a subfunction under a bus driver that leaves its operations to a test. */
import type { KernelSymbols } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import type { ConnectxFunction } from '@vdpalab/machine';
import type { Mlx5CoreDev } from '@vdpalab/mlx5-core';
import type { PciDev } from '@vdpalab/pci';
import { bootBuiltins, DirectRings, toyBusDriver, VdpaTool } from '@vdpalab/testing';
import type { BootedKernel, BootOptions, DirectQueue, RingKernel } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import type { VdpaDevice } from '@vdpalab/vdpa-core';
import { activate, hardware, MODULES, SF } from './subfunction.ts';
import type { Hardware } from './subfunction.ts';

const HDR = uapi.virtio_net_hdr_v1.size;
const { bits } = uapi;
/** What a driver of two queues accepts. */
export const PLAIN = bits(uapi.VIRTIO_F_VERSION_1, uapi.VIRTIO_F_ACCESS_PLATFORM);
/** And one with a control queue. */
export const CONTROL = PLAIN | bits(uapi.VIRTIO_NET_F_CTRL_VQ, uapi.VIRTIO_NET_F_CTRL_MAC_ADDR, uapi.VIRTIO_NET_F_MAC, uapi.VIRTIO_NET_F_STATUS);
export const ALL = CONTROL | bits(uapi.VIRTIO_NET_F_MQ, uapi.VIRTIO_NET_F_CTRL_VLAN);

/** Status before DRIVER_OK, and after it. */
export const SETTLED = uapi.VIRTIO_CONFIG_S_ACKNOWLEDGE | uapi.VIRTIO_CONFIG_S_DRIVER | uapi.VIRTIO_CONFIG_S_FEATURES_OK;
export const RUNNING = SETTLED | uapi.VIRTIO_CONFIG_S_DRIVER_OK;

/** A kernel, hardware, and an active subfunction. */
export class Bench {
  readonly kernel: BootedKernel;
  readonly hardware: Hardware;
  readonly k: KernelSymbols;
  readonly port: number;
  private readonly devices: ReadonlyMap<string, VdpaDevice>;

  private constructor(kernel: BootedKernel, made: Hardware, port: number, devices: ReadonlyMap<string, VdpaDevice>) {
    this.kernel = kernel;
    this.hardware = made;
    this.k = kernel.k;
    this.port = port;
    this.devices = devices;
  }

  static async boot(made: Hardware = hardware(), options: Pick<BootOptions, 'kernel' | 'wrap'> = {}): Promise<Bench> {
    const toy = toyBusDriver<VdpaDevice>();
    const kernel = await bootBuiltins([
      'sched', 'mm', 'fs', 'driver-core', 'irq', 'iommu', 'pci', 'netlink', 'netdev', 'vhost-iotlb', 'vringh', 'vdpa-core', ...MODULES, toy.module,
    ], { machine: made.hw.machine, ...options });
    return new Bench(kernel, made, await activate(kernel), toy.devices);
  }

  /** The subfunction in the device. */
  get vhca(): ConnectxFunction['vhca'] {
    return this.hardware.fn.subfunctions.slots[0]!.vhca; // the first
  }

  /** `vdpa dev add name vdpa0 mgmtdev SF`, and more. @returns `ok`, or the errno */
  async add(more?: (b: uapi.NlaBuilder) => void, name = 'vdpa0'): Promise<string> {
    return (await this.tool((tool) => tool.add(name, SF, more))).split(':')[0]!; // split gives one at least
  }

  async del(name = 'vdpa0'): Promise<string> {
    return await this.tool((tool) => tool.del(name));
  }

  async tool<T>(body: (tool: VdpaTool<Process>) => Promise<T>): Promise<T> {
    return await this.kernel.user(async (proc) => {
      const tool = await VdpaTool.open(this.k, proc as unknown as Process); // as the `fs` header declares it
      try {
        return await body(tool);
      } finally {
        await tool.close();
      }
    });
  }

  /** The function the subfunction is of. */
  get pdev(): PciDev {
    return (this.k.vdpa_mgmtdevs()[0]!.priv as Mlx5CoreDev).pdev; // an active one has one
  }

  get vdev(): VdpaDevice {
    const vdev = this.devices.get('vdpa0');
    if (vdev === undefined) throw new Error('no vDPA device');
    return vdev;
  }

  get gone(): boolean {
    return this.devices.size === 0;
  }

  /** Run a kernel task. */
  run<T>(body: () => Promise<T>): Promise<T> {
    return this.kernel.run(body);
  }

  /** Settle features, map, set queues up, DRIVER_OK. @param queues besides the first pair @param last before DRIVER_OK */
  async start(features = PLAIN, queues: readonly number[] = [], mapped = true, last: () => void = () => undefined): Promise<DirectRings<VdpaDevice>> {
    const { vdev } = this;
    return await this.run(async () => {
      const rings = new DirectRings(this.k as unknown as RingKernel, vdev); // the symbols it names
      await vdev.reset();
      await vdev.config.set_status(vdev, SETTLED & ~uapi.VIRTIO_CONFIG_S_FEATURES_OK);
      await vdev.set_features(features);
      await vdev.config.set_status(vdev, SETTLED);
      if (mapped) await rings.map();
      for (const q of [0, 1, ...queues]) await rings.queue(q);
      last();
      await vdev.config.set_status(vdev, RUNNING);
      return rings;
    });
  }

  /** Give memory back. */
  async finish(rings: DirectRings<VdpaDevice>): Promise<void> {
    await this.run(async () => {
      await this.vdev.reset();
      rings.free();
    });
  }

  /** Send a frame. */
  async send(rings: DirectRings<VdpaDevice>, frame: Uint8Array, queue = 1): Promise<void> {
    const at = rings.take(HDR + frame.length);
    rings.bytes.fill(0, at, at + HDR);
    rings.bytes.set(frame, at + HDR);
    await this.run(async () => void rings.give(rings.queues[queue]!, [[at, HDR + frame.length]], [], 7));
    await this.kernel.settle();
  }

  /** Post a receive buffer. */
  async post(rings: DirectRings<VdpaDevice>, queue = 0, token = 1): Promise<number> {
    const at = rings.take(2048);
    await this.run(async () => void rings.give(rings.queues[queue]!, [], [[at, 2048]], token));
    return at + HDR;
  }

  /** A frame from outside. */
  async arrive(frame: Uint8Array): Promise<void> {
    this.hardware.outside.inject(frame);
    await this.kernel.settle();
  }

  /** A command to the control queue. @returns its acknowledgement */
  async command(rings: DirectRings<VdpaDevice>, queue: DirectQueue, kind: number, cmd: number, data: Uint8Array): Promise<number> {
    const [head, body, ack] = [rings.take(2), rings.take(data.length), rings.take(1)];
    rings.bytes.set([kind, cmd], head);
    rings.bytes.set(data, body);
    rings.bytes[ack] = 0xff;
    await this.run(async () => void rings.give(queue, [[head, 2], [body, data.length]], [[ack, 1]], 5));
    await this.kernel.settle();
    if (rings.used(queue).length !== 1) throw new Error('the command was not answered');
    return rings.bytes[ack]!;
  }
}

/** An Ethernet frame. @param vid tagged with it when given */
export function frame(to: readonly number[], length = 64, vid?: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set(to);
  bytes.set([0x52, 0x54, 0, 0, 0, 0xfe], 6);
  if (vid === undefined) bytes.set([0x88, 0xb5], 12);
  else bytes.set([0x81, 0x00, vid >>> 8, vid], 12);
  for (let i = 18; i < length; i++) bytes[i] = i;
  return bytes;
}
