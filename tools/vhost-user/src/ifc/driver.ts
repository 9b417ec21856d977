/** The user-mode driver of IFC virtual functions: a vhost back-end in hardware. @see DPDK drivers/vdpa/ifc/ifcvf_vdpa.c */
import type { Task } from '@vdpalab/abi';
import type { UserProcess } from '@vdpalab/lab';
import {
  POLLIN, VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_TYPE1v2_IOMMU, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_STATUS,
} from '@vdpalab/uapi';
import { VfioContainerFile, VfioGroupFile, type VfioDeviceFile } from '@vdpalab/user';
import * as pf from '../protocol/features.ts';
import { refuse } from '../refuse.ts';
import type { RteVdpaDevOps } from '../rte_vdpa/ops.ts';
import { dying } from '../vhost/bridge.ts';
import type { RteVhost, RteVhostVring } from '../vhost/library.ts';
import { IfcHardware, type HwRing } from './hw.ts';
import { checkFunction, type IfcArguments } from './probe.ts';

/** Bus address of the log of written pages, and where it goes when the IOMMU has fewer address bits. */
const IFCVF_LOG_BASE = 0x1000_0000_0000n;
const LOG_BASE_NARROW = 0x60_0000_0000n;
const RW = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

/** What the front-end may do that the function itself does not know of. */
const ADDED = pf.bits(VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_STATUS, pf.VHOST_USER_F_PROTOCOL_FEATURES, pf.VHOST_F_LOG_ALL);
const PROTOCOL_FEATURES = pf.bits(
  pf.VHOST_USER_PROTOCOL_F_MQ, pf.VHOST_USER_PROTOCOL_F_STATUS, pf.VHOST_USER_PROTOCOL_F_REPLY_ACK, pf.VHOST_USER_PROTOCOL_F_BACKEND_REQ,
  pf.VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD, pf.VHOST_USER_PROTOCOL_F_HOST_NOTIFIER, pf.VHOST_USER_PROTOCOL_F_LOG_SHMFD, pf.VHOST_USER_PROTOCOL_F_RARP,
);

/** A range the device reaches. */
interface DmaRange {
  readonly iova: bigint;
  /** Bytes. */
  readonly size: bigint;
}

/** What there is between dev_conf and dev_close. */
interface Running {
  readonly vid: number;
  readonly ranges: readonly DmaRange[];
  /** Rings that are set up, by index. */
  readonly rings: ReadonlyMap<number, RteVhostVring>;
  /** Signalled when the configuration changes. */
  readonly configFd: number;
  /** Readable when the threads are to end. */
  readonly stopFd: number;
  readonly threads: Task[];
  stopping: boolean;
  log: DmaRange | null;
}

/** What is open as long as the function is probed. */
interface Files {
  readonly container: VfioContainerFile;
  readonly group: VfioGroupFile;
  readonly device: VfioDeviceFile;
}

/** Steps that take back what was done, in reverse. */
type Undo = (() => Promise<unknown> | void)[];

/** A probed function. */
export class IfcDriver {
  readonly name: string;
  readonly ops: RteVdpaDevOps;
  readonly hw: IfcHardware;
  readonly #vhost: RteVhost;
  readonly #p: UserProcess;
  readonly #files: Files;
  readonly #say: (text: string) => void;
  #running: Running | null = null;

  private constructor(vhost: RteVhost, name: string, type: 'net' | 'blk', files: Files, hw: IfcHardware, say: (text: string) => void) {
    this.name = name;
    this.hw = hw;
    this.#vhost = vhost;
    this.#p = vhost.p;
    this.#files = files;
    this.#say = say;
    const features = (hw.features & ~pf.bits(VIRTIO_F_ACCESS_PLATFORM)) | (type === 'net' ? ADDED : pf.bits(pf.VHOST_USER_F_PROTOCOL_FEATURES, pf.VHOST_F_LOG_ALL));
    this.ops = {
      get_dev_type: () => type,
      get_queue_num: () => (type === 'net' ? Math.floor(hw.rings / 2) : hw.rings),
      get_features: () => features,
      get_protocol_features: () => PROTOCOL_FEATURES,
      dev_conf: (vid) => this.#configure(vid),
      dev_close: (vid) => this.#close(vid),
      set_vring_state: async (vid, index, on) => this.#setRing(vid, index, on),
      set_features: (vid) => this.#setFeatures(vid),
      get_vfio_group_fd: () => files.group.fd,
      get_vfio_device_fd: () => files.device.fd,
      get_notify_area: (_vid, qid) => ({ offset: hw.notifyOffset(qid), size: 0x1000 }),
      get_stats_names: () => ['kicks', 'interrupts'],
      get_stats: (qid) => this.#vhost.counts(this.#running?.vid ?? -1, qid),
      reset_stats: async (qid) => this.#vhost.resetCounts(this.#running?.vid ?? -1, qid),
    };
  }

  /**
   * Take a function, into a container of its own.
   *
   * @returns `null` when it is not to be a vDPA device: a virtio driver may have it
   * @throws ENODEV EOPNOTSUPP for a function that cannot be one; EBUSY when another process has its group
   */
  static async probe(vhost: RteVhost, args: IfcArguments, say: (text: string) => void = () => undefined): Promise<IfcDriver | null> {
    if (!args.vdpa) return null;
    if (args.swLiveMigration) throw refuse('ifc.relay', 'sw-live-migration=1: the driver has no relay; the function logs by itself', 'EOPNOTSUPP');
    const { p } = vhost;
    const { group: number, type } = await checkFunction(p, args);
    const opened: { close: () => Promise<void> }[] = [];
    try {
      const container = await VfioContainerFile.open(p);
      opened.push(container);
      const group = await VfioGroupFile.open(p, number);
      opened.push(group);
      await group.setContainer(container.fd);
      await container.setIommu(VFIO_TYPE1v2_IOMMU);
      const device = await group.device(args.bdf);
      opened.push(device);
      const hw = await IfcHardware.open(p, device);
      opened.push(hw);
      if (!hw.logs) throw refuse('ifc.log', `${args.bdf} has no live migration region, and sw-live-migration=1 was not given`, 'EOPNOTSUPP');
      return new IfcDriver(vhost, args.bdf, type, { container, group, device }, hw, say);
    } catch (error) {
      for (const one of opened.reverse()) await one.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.hw.close();
    await this.#files.device.close();
    await this.#files.group.close();
    await this.#files.container.close();
  }

  async #configure(vid: number): Promise<void> {
    const undo: Undo = [];
    try {
      const ranges = await this.#mapMemory(vid, undo);
      const rings = this.#ringsOf(vid);
      const [configFd, stopFd] = [this.#p.eventfd(), this.#p.eventfd()];
      undo.push(() => this.#p.close(configFd), () => this.#p.close(stopFd));
      await this.#enableInterrupts(configFd, rings);
      undo.push(() => this.#files.device.disableIrqs(VFIO_PCI_MSIX_IRQ_INDEX), () => this.hw.reset());
      this.#startHardware(vid, rings);
      const running: Running = { vid, ranges, rings, configFd, stopFd, threads: [], stopping: false, log: null };
      this.#running = running;
      await this.#setFeatures(vid);
      running.threads.push(this.#thread('ifc-noti', () => this.#notifyRelay(running)), this.#thread('ifc-int', () => this.#interruptRelay(running)));
      this.#hostNotifier(vid);
    } catch (error) {
      this.#running = null;
      for (const step of undo.reverse()) await step();
      throw error;
    }
  }

  /** `ifcvf_dma_map`: each region at its guest address. */
  async #mapMemory(vid: number, undo: Undo): Promise<readonly DmaRange[]> {
    const { container } = this.#files;
    const ranges: DmaRange[] = [];
    for (const region of this.#vhost.rte_vhost_get_mem_table(vid)) {
      const range = { iova: BigInt(region.guest_phys_addr), size: BigInt(region.size) };
      await container.mapDma(BigInt(region.host_user_addr), range.iova, range.size, RW);
      undo.push(() => container.unmapDma(range.iova, range.size));
      ranges.push(range);
    }
    return ranges;
  }

  #ringsOf(vid: number): Map<number, RteVhostVring> {
    const rings = new Map<number, RteVhostVring>();
    for (let index = 0; index < Math.min(this.hw.rings, this.#vhost.rte_vhost_get_vring_num(vid)); index++) {
      const ring = this.#vhost.rte_vhost_get_vhost_vring(vid, index);
      if (ring !== null) rings.set(index, ring);
    }
    return rings;
  }

  /** `vdpa_enable_vfio_intr`: vector 0 is the configuration's, i + 1 is ring i's. */
  async #enableInterrupts(configFd: number, rings: ReadonlyMap<number, RteVhostVring>): Promise<void> {
    const fds = Array.from({ length: this.hw.rings }, (_, index) => rings.get(index)?.callfd ?? -1);
    await this.#files.device.setTriggers(VFIO_PCI_MSIX_IRQ_INDEX, [configFd, ...fds]);
  }

  #startHardware(vid: number, rings: ReadonlyMap<number, RteVhostVring>): void {
    const enabled = Array.from({ length: this.hw.rings }, (_, index) => (rings.get(index)?.enabled === true ? this.#hwRing(vid, index) : null));
    const features = this.#vhost.rte_vhost_get_negotiated_features(vid) & this.hw.features;
    this.hw.start(features, enabled, Math.ceil(enabled.filter((ring) => ring !== null).length / 2));
    for (const [index, ring] of enabled.entries()) if (ring !== null) this.hw.ring(index); // for what was made available before
  }

  #hwRing(vid: number, index: number): HwRing | null {
    const ring = this.#vhost.rte_vhost_get_vhost_vring(vid, index);
    if (ring === null) return null;
    const base = this.#vhost.rte_vhost_get_vring_base(vid, index);
    const { desc, avail, used } = ring.place;
    return { desc, avail, used, size: ring.size, lastAvail: base.last_avail_idx, lastUsed: base.last_used_idx };
  }

  /** Have the front-end ring doorbells itself, where that can be; else the relay does. */
  #hostNotifier(vid: number): void {
    try {
      this.#vhost.rte_vhost_host_notifier_ctrl(vid, true);
    } catch {
      this.#say(`vDPA (${this.name}): software relay is used.`);
    }
  }

  async #close(vid: number): Promise<void> {
    const running = this.#running;
    if (running === null) return;
    running.stopping = true;
    this.#running = null;
    for (const index of running.rings.keys()) {
      this.#stopRing(vid, index);
      // The function logs the pages of packets; that the used ring was written is for software to say.
      if (running.log !== null) this.#vhost.rte_vhost_log_used_vring(vid, index);
    }
    if (running.log !== null) this.hw.disableLogging();
    this.hw.reset();
    await this.#p.write(running.stopFd, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
    for (const thread of running.threads) await this.#vhost.lab.hw.sched.join(thread);
    const { device, container } = this.#files;
    await device.disableIrqs(VFIO_PCI_MSIX_IRQ_INDEX);
    for (const { iova, size } of [...running.ranges, ...(running.log === null ? [] : [running.log])]) await container.unmapDma(iova, size);
    await this.#p.close(running.configFd);
    await this.#p.close(running.stopFd);
  }

  /** A network function goes on from where it has used: what it took beyond comes again. */
  #stopRing(vid: number, index: number): void {
    if (this.#vhost.rte_vhost_get_vhost_vring(vid, index)?.enabled !== true) return;
    const { avail, used } = this.hw.disable(index);
    this.#vhost.rte_vhost_set_vring_base(vid, index, this.ops.get_dev_type?.() === 'blk' ? avail : used, used);
  }

  #setRing(vid: number, index: number, on: boolean): void {
    const ring = this.#running === null ? null : this.#hwRing(vid, index);
    if (ring === null) return;
    if (on) {
      this.hw.enable(index, ring);
      this.hw.ring(index);
      return;
    }
    const { used } = this.hw.disable(index);
    this.#vhost.rte_vhost_set_vring_base(vid, index, used, used);
  }

  /** Log what is written, or log no more. */
  async #setFeatures(vid: number): Promise<void> {
    const running = this.#running;
    if (running === null) return;
    const { container } = this.#files;
    if (running.log !== null) {
      this.hw.disableLogging();
      await container.unmapDma(running.log.iova, running.log.size);
      running.log = null;
    }
    const area = this.#vhost.rte_vhost_get_log_base(vid);
    if (area === null || !pf.has(this.#vhost.rte_vhost_get_negotiated_features(vid), pf.VHOST_F_LOG_ALL)) return;
    running.log = await this.#mapLog(BigInt(area.file.va), BigInt(area.file.size));
    this.hw.enableLogging(Number(running.log.iova), area.size);
  }

  async #mapLog(va: bigint, size: bigint): Promise<DmaRange> {
    const { container } = this.#files;
    let iova = IFCVF_LOG_BASE;
    try {
      await container.mapDma(va, iova, size, RW);
    } catch {
      iova = LOG_BASE_NARROW;
      await container.mapDma(va, iova, size, RW);
    }
    return { iova, size };
  }

  // ---- threads ----

  #thread(name: string, body: () => Promise<void>): Task {
    return this.#vhost.lab.start(this.#p, name, async () => {
      try {
        await body();
      } catch (error) {
        if (!dying(this.#p)) throw error;
      }
    });
  }

  /** `notify_relay`: a kick becomes one write of the ring's index. */
  async #notifyRelay(running: Running): Promise<void> {
    const rings = [...running.rings];
    const fds = [running.stopFd, ...rings.map(([, ring]) => ring.kickfd)].map((fd) => ({ fd, events: POLLIN }));
    while (!running.stopping) {
      const ready = await this.#p.poll(fds);
      for (const [i, [index, ring]] of rings.entries()) {
        if (running.stopping || ((ready[i + 1] ?? 0) & POLLIN) === 0) continue;
        await this.#p.read(ring.kickfd, 8);
        this.hw.ring(index);
      }
    }
  }

  /** `intr_relay`: the configuration has changed. */
  async #interruptRelay(running: Running): Promise<void> {
    const fds = [running.stopFd, running.configFd].map((fd) => ({ fd, events: POLLIN }));
    while (!running.stopping) {
      const [, config] = await this.#p.poll(fds);
      if (running.stopping || ((config ?? 0) & POLLIN) === 0) continue;
      await this.#p.read(running.configFd, 8);
      this.#vhost.rte_vhost_backend_config_change(running.vid);
    }
  }
}
