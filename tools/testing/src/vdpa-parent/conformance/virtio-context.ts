/** A device of the parent that virtio_vdpa has, with the class driver on top. */
import { AF_PACKET, ETH_P_ALL, MSG_DONTWAIT, O_RDWR, SOCK_RAW, sockaddr_ll, VIRTIO_ID_NET } from '@vdpalab/uapi';
import { expect } from 'vitest';
import type { VdpaTool } from '../vdpa-tool.ts';
import type { SuiteDevice, SuiteKernel, SuiteProcess, SuiteVirtio } from './kernel.ts';
import type { OpLog } from './op-log.ts';
import type { ParentOffers } from './subject.ts';
import { testFrame } from './traffic.ts';

/** What checks through virtio_vdpa work with. */
export class VirtioContext {
  readonly k: SuiteKernel;
  readonly offers: ParentOffers;
  /** Whether a management device made the device: netlink knows no other. */
  readonly managed: boolean;
  readonly vdev: SuiteDevice;
  readonly calls: OpLog;
  readonly proc: SuiteProcess;
  readonly tool: VdpaTool<SuiteProcess>;

  constructor(init: Pick<VirtioContext, 'k' | 'offers' | 'managed' | 'vdev' | 'calls' | 'proc' | 'tool'>) {
    this.k = init.k;
    this.offers = init.offers;
    this.managed = init.managed;
    this.vdev = init.vdev;
    this.calls = init.calls;
    this.proc = init.proc;
    this.tool = init.tool;
  }

  /** The virtio device there is. @throws Error when there is none */
  get virtio(): SuiteVirtio {
    const bus = this.k.find_bus('virtio');
    const [dev] = bus === null ? [] : this.k.bus_devices(bus);
    if (dev === undefined) throw new Error('there is no virtio device');
    return this.k.dev_to_virtio(dev);
  }

  /** Indexes of the queues that the class driver found. */
  get queues(): number[] {
    return this.virtio.vqs.map(({ index }) => index);
  }

  async unbind(): Promise<void> {
    await this.k.device_release_driver(this.vdev.dev);
  }

  async bind(): Promise<void> {
    if (!(await this.k.device_attach(this.vdev.dev))) throw new Error(`${this.vdev.dev.name}: no driver took it`);
  }

  /** Let the device and everybody else do what there is to do. */
  async idle(): Promise<void> {
    await this.k.msleep(1);
  }

  /** One piece of work through the class driver, and see that it was done. */
  async work(seed = 1): Promise<void> {
    await (this.offers.device_id === VIRTIO_ID_NET ? frameBack(this, seed) : sectorKept(this, seed));
  }
}

async function frameBack(c: VirtioContext, seed: number): Promise<void> {
  const [net] = c.k.netdevs();
  if (net === undefined) throw new Error('there is no interface');
  await c.k.dev_open(net);
  await c.idle();
  const fd = await c.k.ksys_socket(c.proc, AF_PACKET, SOCK_RAW, (ETH_P_ALL << 8) & 0xffff);
  await c.k.ksys_bind(c.proc, fd, sockaddr_ll.encode({ sll_family: AF_PACKET, sll_protocol: ETH_P_ALL, sll_ifindex: net.ifindex }));
  const frame = testFrame(seed);
  await c.k.ksys_write(c.proc, fd, frame);
  await c.idle();
  const { bytes } = await c.k.ksys_recvmsg(c.proc, fd, 2048, MSG_DONTWAIT);
  await c.k.ksys_close(c.proc, fd);
  expect([...bytes]).toEqual([...frame]);
}

async function sectorKept(c: VirtioContext, seed: number): Promise<void> {
  const fd = await c.k.ksys_open(c.proc, '/dev/vda', O_RDWR);
  const contents = Uint8Array.from({ length: 1024 }, (_, i) => (i * 5 + seed) & 0xff);
  await c.k.ksys_pwrite(c.proc, fd, contents, 512 * seed);
  expect(await c.k.ksys_pread(c.proc, fd, contents.length, 512 * seed)).toEqual(contents);
  await c.k.ksys_close(c.proc, fd);
}
