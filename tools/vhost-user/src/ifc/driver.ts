/** The user-mode driver of IFC virtual functions: a vhost back-end in hardware. @see DPDK drivers/vdpa/ifc/ifcvf_vdpa.c */
import { UndoStack, withUndo } from '@vdpalab/abi';
import { VFIO_TYPE1v2_IOMMU, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_STATUS, VIRTIO_RING_F_EVENT_IDX } from '@vdpalab/uapi';
import { VfioContainerFile, VfioGroupFile, type VfioDeviceFile } from '@vdpalab/user';
import * as pf from '../protocol/features.ts';
import { refuse } from '../refuse.ts';
import type { RteVdpaDevOps } from '../rte_vdpa/ops.ts';
import type { RteVhost } from '../vhost/library.ts';
import { DataPath, type PathSite } from './data-path.ts';
import { DMA_RW, mapHigh, type DmaRange } from './dma.ts';
import { EventThread } from './event-thread.ts';
import { IfcHardware } from './hw.ts';
import { checkFunction, type IfcArguments } from './probe.ts';

/** Bus address of the log of written pages. */
const IFCVF_LOG_BASE = [0x1000_0000_0000n, 0x60_0000_0000n] as const;

/** What the front-end may do that the function itself does not know of. */
const ADDED = pf.bits(VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_STATUS, pf.VHOST_USER_F_PROTOCOL_FEATURES, pf.VHOST_F_LOG_ALL);
/** What the front-end may not: its addresses are translated for it. */
const HIDDEN = pf.bits(VIRTIO_F_ACCESS_PLATFORM);
/** Nor this, where a relay may come between: the function would wait for an event index that it has passed before the relay. */
const HIDDEN_BY_RELAY = pf.bits(VIRTIO_RING_F_EVENT_IDX);
const PROTOCOL_FEATURES = pf.bits(
  pf.VHOST_USER_PROTOCOL_F_MQ, pf.VHOST_USER_PROTOCOL_F_STATUS, pf.VHOST_USER_PROTOCOL_F_REPLY_ACK, pf.VHOST_USER_PROTOCOL_F_BACKEND_REQ,
  pf.VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD, pf.VHOST_USER_PROTOCOL_F_HOST_NOTIFIER, pf.VHOST_USER_PROTOCOL_F_LOG_SHMFD, pf.VHOST_USER_PROTOCOL_F_RARP,
);

/** What there is between dev_conf and dev_close. */
interface Running {
  readonly vid: number;
  /** Signalled when the configuration changes. */
  readonly configFd: number;
  /** Takes back everything but the data path and the log. */
  readonly undo: UndoStack;
  path: DataPath;
  /** The function's own log, mapped for it. */
  log: DmaRange | null;
}

/** What is open as long as the function is probed. */
interface Files {
  readonly container: VfioContainerFile;
  readonly group: VfioGroupFile;
  readonly device: VfioDeviceFile;
}

/** A probed function. */
export class IfcDriver {
  readonly name: string;
  readonly ops: RteVdpaDevOps;
  readonly hw: IfcHardware;
  readonly #vhost: RteVhost;
  readonly #files: Files;
  readonly #say: (text: string) => void;
  readonly #site: PathSite;
  /** `sw-live-migration=1`: the driver logs, not the function. */
  readonly #relays: boolean;
  /** Used entries that were relayed, by ring. */
  readonly #relayed = new Map<number, number>();
  #running: Running | null = null;

  private constructor(vhost: RteVhost, { bdf, swLiveMigration }: IfcArguments, type: 'net' | 'blk', files: Files, hw: IfcHardware, say: (text: string) => void) {
    this.name = bdf;
    this.hw = hw;
    this.#vhost = vhost;
    this.#files = files;
    this.#say = say;
    this.#relays = swLiveMigration;
    this.#site = {
      vhost, hw, type, device: files.device, container: files.container,
      relayed: (index, entries) => this.#relayed.set(index, (this.#relayed.get(index) ?? 0) + entries),
    };
    const added = type === 'net' ? ADDED : pf.bits(pf.VHOST_USER_F_PROTOCOL_FEATURES, pf.VHOST_F_LOG_ALL);
    const features = (hw.features & ~HIDDEN & ~(swLiveMigration ? HIDDEN_BY_RELAY : 0n)) | added;
    const counting = (): number => this.#running?.vid ?? -1;
    this.ops = {
      get_dev_type: () => type,
      get_queue_num: () => (type === 'net' ? Math.floor(hw.rings / 2) : hw.rings),
      get_features: () => features,
      get_protocol_features: () => PROTOCOL_FEATURES,
      dev_conf: (vid) => this.#configure(vid),
      dev_close: () => this.#close(),
      set_vring_state: async (_vid, index, on) => this.#running?.path.setRing(index, on),
      set_features: () => this.#setFeatures(),
      get_vfio_group_fd: () => files.group.fd,
      get_vfio_device_fd: () => files.device.fd,
      get_notify_area: (_vid, qid) => ({ offset: hw.notifyOffset(qid), size: 0x1000 }),
      get_stats_names: () => ['kicks', 'interrupts', 'relayed'],
      get_stats: (qid) => [...vhost.counts(counting(), qid), BigInt(this.#relayed.get(qid) ?? 0)],
      reset_stats: async (qid) => {
        vhost.resetCounts(counting(), qid);
        this.#relayed.delete(qid);
      },
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
      // DPDK goes on with sw-live-migration=1, and then starts rings anew where they should go on.
      if (!hw.logs) throw refuse('ifc.log', `${args.bdf} has no live migration region (BAR 4): it can neither log nor tell where its rings are`, 'EOPNOTSUPP');
      return new IfcDriver(vhost, args, type, { container, group, device }, hw, say);
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
    const { lab, p } = this.#vhost;
    const undo = new UndoStack();
    this.#running = await withUndo(undo, async () => {
      await this.#mapMemory(vid, undo);
      const configFd = p.eventfd();
      undo.push('configuration interrupt', () => p.close(configFd));
      const path = await DataPath.start(this.#site, vid, configFd, false);
      return { vid, configFd, undo, path, log: null };
    });
    const { configFd } = this.#running;
    // `intr_relay`
    const thread = new EventThread(lab, p, 'ifc-int', [{ fd: configFd, event: () => this.#vhost.rte_vhost_backend_config_change(vid) }]);
    undo.push('ifc-int', () => thread.stop());
    try {
      await this.#setFeatures();
    } catch (error) {
      await this.#close();
      throw error;
    }
    this.#hostNotifier(vid);
  }

  /** `ifcvf_dma_map`: each region at its guest address. */
  async #mapMemory(vid: number, undo: UndoStack): Promise<void> {
    const { container } = this.#files;
    for (const region of this.#vhost.rte_vhost_get_mem_table(vid)) {
      const range = { iova: BigInt(region.guest_phys_addr), size: BigInt(region.size) };
      await container.mapDma(BigInt(region.host_user_addr), range.iova, range.size, DMA_RW);
      undo.push('guest memory', async () => void await container.unmapDma(range.iova, range.size));
    }
  }

  /** Have the front-end ring doorbells itself, where that can be; else the relay does. */
  #hostNotifier(vid: number): void {
    try {
      this.#vhost.rte_vhost_host_notifier_ctrl(vid, true);
    } catch {
      this.#say(`vDPA (${this.name}): software relay is used.`);
    }
  }

  async #close(): Promise<void> {
    const running = this.#running;
    if (running === null) return;
    this.#running = null;
    const { vid, path, undo } = running;
    const logged = running.log !== null || path.relays;
    await path.stop();
    // Packets are logged; that used rings were written is for software to say.
    if (logged) for (const index of path.rings.keys()) this.#vhost.rte_vhost_log_used_vring(vid, index);
    await this.#dropLog(running);
    await undo.run();
  }

  /** Log what is written, or log no more. */
  async #setFeatures(): Promise<void> {
    const running = this.#running;
    if (running === null) return;
    const { vid } = running;
    const area = this.#vhost.rte_vhost_get_log_base(vid);
    const wanted = area !== null && pf.has(this.#vhost.rte_vhost_get_negotiated_features(vid), pf.VHOST_F_LOG_ALL);
    if (this.#relays) {
      if (wanted !== running.path.relays) await this.#switchOver(running, wanted);
      return;
    }
    await this.#dropLog(running);
    if (!wanted) return;
    running.log = await mapHigh(this.#files.container, IFCVF_LOG_BASE, BigInt(area.file.va), BigInt(area.file.size));
    this.hw.enableLogging(Number(running.log.iova), area.size);
  }

  async #dropLog(running: Running): Promise<void> {
    const { log } = running;
    if (log === null) return;
    running.log = null;
    this.hw.disableLogging();
    await this.#files.container.unmapDma(log.iova, log.size);
  }

  /** `ifcvf_sw_fallback_switchover`, and back: stop, and go on the other way. @throws what starting says; the old way goes on then */
  async #switchOver(running: Running, relays: boolean): Promise<void> {
    const { vid, configFd, path } = running;
    await path.stop();
    try {
      running.path = await DataPath.start(this.#site, vid, configFd, relays);
    } catch (error) {
      running.path = await DataPath.start(this.#site, vid, configFd, !relays);
      throw error;
    }
    this.#say(`vDPA (${this.name}): used rings are ${relays ? 'relayed' : 'relayed no more'}.`);
  }
}
