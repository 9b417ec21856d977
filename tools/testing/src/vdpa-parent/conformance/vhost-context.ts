/** A process that has a device of the parent open through vhost_vdpa. */
import {
  VHOST_SET_FEATURES, VHOST_SET_OWNER, VHOST_VDPA_SET_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER,
  VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1, VIRTIO_ID_NET,
} from '@vdpalab/uapi';
import type { VdpaTool } from '../vdpa-tool.ts';
import type { VhostFile } from '../vhost-user-space.ts';
import type { SuiteDevice, SuiteKernel, SuiteProcess } from './kernel.ts';
import type { OpLog } from './op-log.ts';
import type { ParentOffers } from './subject.ts';
import { VhostRings } from './vhost-rings.ts';

/** Features the suite's user-mode driver takes. */
export const DRIVER_FEATURES = (1n << BigInt(VIRTIO_F_VERSION_1)) | (1n << BigInt(VIRTIO_F_ACCESS_PLATFORM));
/** Status before and after DRIVER_OK. */
export const SETTLED = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK;
export const RUNNING = SETTLED | VIRTIO_CONFIG_S_DRIVER_OK;

/** What checks through vhost_vdpa work with. */
export class VhostContext {
  readonly k: SuiteKernel;
  readonly offers: ParentOffers;
  /** Whether a management device made the device: netlink knows no other. */
  readonly managed: boolean;
  readonly vdev: SuiteDevice;
  readonly calls: OpLog;
  readonly proc: SuiteProcess;
  readonly file: VhostFile<SuiteProcess>;
  readonly tool: VdpaTool<SuiteProcess>;

  /** Whether a check has closed the file. */
  closed = false;

  constructor(init: Pick<VhostContext, 'k' | 'offers' | 'managed' | 'vdev' | 'calls' | 'proc' | 'file' | 'tool'>) {
    this.k = init.k;
    this.offers = init.offers;
    this.managed = init.managed;
    this.vdev = init.vdev;
    this.calls = init.calls;
    this.proc = init.proc;
    this.file = init.file;
    this.tool = init.tool;
  }

  /** Whether a feature is offered. */
  has(bit: number): boolean {
    return (this.offers.features & (1n << BigInt(bit))) !== 0n;
  }

  /** Descriptors of a queue that any parent takes. */
  get num(): number {
    return Math.max(16, this.offers.num_min);
  }

  /** Become the owner. */
  async own(): Promise<void> {
    await this.must(this.file.ioctl(VHOST_SET_OWNER));
  }

  /** Owner, features settled. */
  async settle(): Promise<void> {
    await this.own();
    await this.status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
    await this.must(this.file.set(VHOST_SET_FEATURES, 8, this.offers.features & DRIVER_FEATURES));
    await this.status(SETTLED);
  }

  /** All of it: memory mapped, the data queues enabled, DRIVER_OK. */
  async start(): Promise<VhostRings> {
    await this.settle();
    const rings = await VhostRings.create(this.k, this.proc, this.file);
    const queues = this.offers.device_id === VIRTIO_ID_NET ? [0, 1] : [0];
    for (const q of queues) await rings.queue(q, this.num);
    await this.status(RUNNING);
    return rings;
  }

  async status(status: number): Promise<void> {
    await this.must(this.file.set(VHOST_VDPA_SET_STATUS, 1, status));
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.file.close();
  }

  /** Let the device and everybody else do what there is to do. */
  readonly idle = (): Promise<void> => this.k.msleep(1);

  /** @throws Error unless the call succeeds */
  async must(answer: Promise<number | string>): Promise<void> {
    const got = await answer;
    if (typeof got === 'string') throw new Error(`refused: ${got}`);
  }
}
