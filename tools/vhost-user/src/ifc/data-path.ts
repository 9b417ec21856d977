/** A function that runs: its rings, its vectors, and the thread that rings its doorbells. @see DPDK drivers/vdpa/ifc/ifcvf_vdpa.c */
import { UndoStack, withUndo } from '@vdpalab/abi';
import { VFIO_PCI_MSIX_IRQ_INDEX, vring_used } from '@vdpalab/uapi';
import type { VfioContainerFile, VfioDeviceFile } from '@vdpalab/user';
import { rte_vdpa_relay_vring_used } from '../rte_vdpa/relay.ts';
import type { RteVhost, RteVhostVring } from '../vhost/library.ts';
import { EventThread, type Awaited } from './event-thread.ts';
import type { HwRing, IfcHardware } from './hw.ts';
import { mapMediatedRings, type MediatedRing } from './mediated.ts';

/**
 * Longest time an entry waits in a mediated ring. The function asks the guest's flags whether to interrupt, so that nothing would wake
 * the relay of a guest that polls.
 */
const RELAY_NS = 1_000_000;

/** What a data path is made of. */
export interface PathSite {
  readonly vhost: RteVhost;
  readonly hw: IfcHardware;
  readonly device: VfioDeviceFile;
  readonly container: VfioContainerFile;
  readonly type: 'net' | 'blk';
  /** Told how many used entries of a ring were relayed. */
  readonly relayed: (index: number, entries: number) => void;
}

/** A data path, from its start to its stop. */
export class DataPath {
  /** Rings that are set up, by index. */
  readonly rings: ReadonlyMap<number, RteVhostVring>;
  readonly #site: PathSite;
  readonly #vid: number;
  readonly #mediated: ReadonlyMap<number, MediatedRing>;
  readonly #undo: UndoStack;
  readonly #thread: EventThread;

  private constructor(site: PathSite, vid: number, rings: ReadonlyMap<number, RteVhostVring>, mediated: ReadonlyMap<number, MediatedRing>, undo: UndoStack) {
    this.#site = site;
    this.#vid = vid;
    this.rings = rings;
    this.#mediated = mediated;
    this.#undo = undo;
    this.#startHardware();
    this.#thread = mediated.size > 0 ? this.#relayThread() : new EventThread(site.vhost.lab, site.vhost.p, 'ifc-noti', this.#doorbells());
  }

  /**
   * Start a function for a front-end.
   *
   * @param configFd signalled when the configuration changes
   * @param relayed used entries of receive rings, or of all of a disk's, pass through the driver
   * @throws what mapping, vectors and the function say; nothing is left then
   */
  static async start(site: PathSite, vid: number, configFd: number, relayed: boolean): Promise<DataPath> {
    const { vhost, hw, device, container } = site;
    const undo = new UndoStack();
    return await withUndo(undo, async () => {
      const rings = ringsOf(vhost, hw, vid);
      const sizes = new Map([...rings].filter(([index]) => relayed && (site.type === 'blk' || index % 2 === 0)).map(([index, ring]) => [index, ring.size]));
      const mediated = sizes.size > 0 ? await mapMediatedRings(vhost.p, container, sizes, undo) : new Map<number, MediatedRing>();
      // `vdpa_enable_vfio_intr`: vector 0 is the configuration's, i + 1 is ring i's.
      const fds = Array.from({ length: hw.rings }, (_, index) => mediated.get(index)?.intrFd ?? rings.get(index)?.callfd ?? -1);
      await device.setTriggers(VFIO_PCI_MSIX_IRQ_INDEX, [configFd, ...fds]);
      undo.push('vectors', () => device.disableIrqs(VFIO_PCI_MSIX_IRQ_INDEX));
      undo.push('function', () => hw.reset());
      return new DataPath(site, vid, rings, mediated, undo);
    });
  }

  /** Whether used entries pass through the driver. */
  get relays(): boolean {
    return this.#mediated.size > 0;
  }

  /** Stop, with ring indexes in the library and nothing left to relay. */
  async stop(): Promise<void> {
    await this.#thread.stop();
    for (const index of this.rings.keys()) {
      if (this.#site.vhost.rte_vhost_get_vhost_vring(this.#vid, index)?.enabled === true) this.#disable(index, this.#site.type === 'blk');
      await this.#relay(index);
    }
    await this.#undo.run();
  }

  /** Switch one ring off or on. */
  async setRing(index: number, on: boolean): Promise<void> {
    const ring = this.#hwRing(index);
    if (ring === null) return;
    if (on) {
      this.#site.hw.enable(index, ring);
      this.#site.hw.ring(index);
      return;
    }
    this.#disable(index, false);
    await this.#relay(index);
  }

  #startHardware(): void {
    const { vhost, hw } = this.#site;
    const enabled = Array.from({ length: hw.rings }, (_, index) => (this.rings.get(index)?.enabled === true ? this.#hwRing(index) : null));
    const features = vhost.rte_vhost_get_negotiated_features(this.#vid) & hw.features;
    hw.start(features, enabled, Math.ceil(enabled.filter((ring) => ring !== null).length / 2));
    for (const [index, ring] of enabled.entries()) if (ring !== null) hw.ring(index); // for what was made available before
  }

  #hwRing(index: number): HwRing | null {
    const { vhost } = this.#site;
    const ring = vhost.rte_vhost_get_vhost_vring(this.#vid, index);
    if (ring === null) return null;
    const { last_avail_idx: lastAvail, last_used_idx: lastUsed } = vhost.rte_vhost_get_vring_base(this.#vid, index);
    const { desc, avail, used } = ring.place;
    const mediated = this.#mediated.get(index);
    if (mediated !== undefined) vhost.p.proc.mm.store(mediated.va + vring_used.offsets.idx, 2, lastUsed);
    return { desc, avail, used: mediated?.used ?? used, size: ring.size, lastAvail, lastUsed };
  }

  /** A network function goes on from where it has used: what it took beyond comes again. @param taken go on from what it took */
  #disable(index: number, taken: boolean): void {
    const { avail, used } = this.#site.hw.disable(index);
    this.#site.vhost.rte_vhost_set_vring_base(this.#vid, index, taken ? avail : used, used);
  }

  /** `notify_relay`: a kick becomes one write of the ring's index. */
  #doorbells(): Awaited[] {
    return [...this.rings].map(([index, ring]) => ({ fd: ring.kickfd, event: () => this.#site.hw.ring(index) }));
  }

  /** `vring_relay`: doorbells, and used entries on their way to the guest. */
  #relayThread(): EventThread {
    const { lab, p } = this.#site.vhost;
    const interrupts = [...this.#mediated.values()].map(({ intrFd }) => ({ fd: intrFd, event: () => undefined }));
    const turn = async (): Promise<void> => {
      for (const index of this.#mediated.keys()) await this.#relay(index);
    };
    return new EventThread(lab, p, 'ifc-ring', [...this.#doorbells(), ...interrupts], { turn, timeoutNs: RELAY_NS });
  }

  /** `update_used_ring`: give the guest what the function has used of a mediated ring. */
  async #relay(index: number): Promise<void> {
    const { vhost, relayed } = this.#site;
    const mediated = this.#mediated.get(index);
    if (mediated === undefined) return;
    const entries = rte_vdpa_relay_vring_used(vhost, this.#vid, index, mediated.va);
    if (entries === 0) return;
    relayed(index, entries);
    await vhost.rte_vhost_vring_call(this.#vid, index);
  }
}

function ringsOf(vhost: RteVhost, hw: IfcHardware, vid: number): Map<number, RteVhostVring> {
  const rings = new Map<number, RteVhostVring>();
  for (let index = 0; index < Math.min(hw.rings, vhost.rte_vhost_get_vring_num(vid)); index++) {
    const ring = vhost.rte_vhost_get_vhost_vring(vid, index);
    if (ring !== null) rings.set(index, ring);
  }
  return rings;
}
