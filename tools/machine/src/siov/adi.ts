/** An assignable device interface: a virtio network device whose DMA carries a PASID of its own. */
import {
  PCI_CLASS_NETWORK_ETHERNET, PCI_COMMAND, PCI_COMMAND_MASTER, PCI_MSIX_FLAGS, PCI_VENDOR_ID_INTEL, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1,
  VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS,
  VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
} from '@vdpalab/uapi';
import type { DmaPort } from '../dma.ts';
import type { NetPort } from '../net/port.ts';
import { msixCapability } from '../pci/capabilities.ts';
import { ConfigImage } from '../pci/config-image.ts';
import { describeHeader } from '../pci/function.ts';
import type { FunctionIds, FunctionParts, FunctionSite } from '../pci/function.ts';
import { newNetCounters } from '../virtio/counters.ts';
import type { NetCounters } from '../virtio/counters.ts';
import { NetFunction } from '../virtio/net-function.ts';
import type { NetSettings } from '../virtio/net-settings.ts';
import type { VirtQueue } from '../virtio/queue.ts';
import {
  ADI_QUEUES, ADI_VECTORS, BAR_CONTROL, COMMON_OFFSET, COMMON_SIZE, DEVICE_OFFSET, DEVICE_SIZE, DOORBELL_OFFSET, MSIX_PBA_OFFSET,
  MSIX_TABLE_OFFSET, STATE_OFFSET,
} from './layout.ts';
import { Steering } from './steering.ts';

const FEATURES: readonly number[] = [
  VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MTU,
  VIRTIO_NET_F_STATUS, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_MQ,
];
const PAGE_SHIFT = 12;

/** What nobody sees: an interface has no configuration space on the bus; this one carries its bus mastering and MSI-X state. */
const IDS: FunctionIds = { vendor: PCI_VENDOR_ID_INTEL, device: 0, subvendor: 0, subdevice: 0, classCode: PCI_CLASS_NETWORK_ETHERNET, revision: 0 };

function adiParts(): { readonly parts: FunctionParts; readonly msixAt: number } {
  const image = new ConfigImage();
  describeHeader(image, IDS, false);
  const at = msixCapability(image, ADI_VECTORS, { bar: BAR_CONTROL, offset: MSIX_TABLE_OFFSET }, { bar: BAR_CONTROL, offset: MSIX_PBA_OFFSET });
  return { parts: { layout: image.build(), bars: [], express: 0, msix: { at, count: ADI_VECTORS } }, msixAt: at };
}

/** One interface; it is on no bus of its own, and uses its physical function's requester id. */
export class SiovAdi extends NetFunction<NetCounters> {
  /** Number of the interface. */
  readonly index: number;
  private readonly msixAt: number;
  private tag: number | null = null;
  /** Its own place in the network. */
  private uplink: NetPort | null = null;
  private ahead: SiovAdi | null = null;
  private readonly followers: SiovAdi[] = [];
  private steering: Steering | null = null;

  constructor(site: FunctionSite, index: number, settings: NetSettings) {
    const { parts, msixAt } = adiParts();
    super(site, parts, { counters: newNetCounters(), features: FEATURES, queues: ADI_QUEUES, queueSize: settings.queueSize }, settings);
    this.index = index;
    this.msixAt = msixAt;
  }

  /** The PASID of its DMA; null before it has one, when it does none. */
  get pasid(): number | null {
    return this.tag;
  }

  /** Its way to memory: the physical function's requester id with the interface's PASID. */
  override get dma(): DmaPort {
    return this.hw.dmaPort(this.rid, this.tag);
  }

  /** Give it a PASID, or take it away with `null`: it is reset first. @param mastering whether the physical function may DMA */
  setPasid(pasid: number | null, mastering: boolean): undefined {
    if (pasid === this.tag) return;
    const { msix } = this;
    const table = msix === null ? [] : Array.from({ length: 4 * ADI_VECTORS }, (_, word) => msix.readTable(4 * word, 4));
    const flags = this.config.get(this.msixAt + PCI_MSIX_FLAGS, 2);
    this.reset();
    if (this.tag !== null) this.hw.dropDmaPort(this.rid, this.tag);
    this.tag = pasid;
    for (const [word, value] of table.entries()) msix?.writeTable(4 * word, 4, value); // interrupts are the physical function's
    this.setMsixFlags(flags);
    this.setMastering(mastering);
  }

  /** The interface it works for; null when it works by itself. */
  get leader(): SiovAdi | null {
    return this.ahead;
  }

  /** Share another interface's place in the network, or have its own again; nothing where either works with a third. */
  follow(leader: SiovAdi | null): undefined {
    if (leader === this || leader === this.ahead || (leader !== null && (leader.ahead !== null || this.followers.length > 0))) return;
    this.ahead?.dismiss(this);
    this.ahead = leader;
    if (this.uplink !== null) this.uplink.receiver = null; // unless it is used again
    this.use(leader === null ? this.uplink : leader.enlist(this));
  }

  override plug(port: NetPort | null): undefined {
    super.plug(port);
    this.uplink = port;
  }

  /** The physical function's bus mastering was switched. */
  setMastering(on: boolean): undefined {
    this.config.write(PCI_COMMAND, 2, on && this.tag !== null ? PCI_COMMAND_MASTER : 0);
  }

  /** The physical function's MSI-X was switched. */
  setMsixFlags(flags: number): undefined {
    this.config.write(this.msixAt + PCI_MSIX_FLAGS, 2, flags);
  }

  /** A read of its window. */
  readWindow(offset: number, size: 1 | 2 | 4): number {
    if (offset < COMMON_OFFSET + COMMON_SIZE) return this.common.read(offset, size);
    if (offset >= DEVICE_OFFSET && offset < DEVICE_OFFSET + DEVICE_SIZE) return this.net.read(offset - DEVICE_OFFSET, size);
    const queue = this.stateAt(offset);
    return queue === null ? 0 : queue.state.lastAvail;
  }

  /** A write to its window. */
  writeWindow(offset: number, size: 1 | 2 | 4, value: number): undefined {
    if (offset >= DOORBELL_OFFSET) this.kick(value, (offset - DOORBELL_OFFSET) >>> PAGE_SHIFT);
    else if (offset < COMMON_OFFSET + COMMON_SIZE) this.common.write(offset, size, value);
    const queue = this.stateAt(offset);
    if (queue !== null) queue.state = { lastAvail: value & 0xffff, lastUsed: value & 0xffff };
  }

  readBar(): number {
    return 0; // its registers are in its physical function's BAR
  }

  writeBar(): undefined {
    return undefined;
  }

  /** A queue pair is an interface: its own and those of its followers. */
  protected override setPairs(count: number): boolean {
    if (count < 1 || count > 1 + this.followers.length) return false;
    if (this.steering !== null) this.steering.active = count;
    return true;
  }

  protected override get address(): Uint8Array {
    return (this.ahead ?? this).net.bytes;
  }

  protected override onDeviceReset(): undefined {
    super.onDeviceReset();
    this.setPairs(1);
  }

  protected override onRemove(): undefined {
    super.onRemove();
    this.setPasid(null, false);
  }

  /** @returns where the follower sends and receives, null without a network */
  private enlist(follower: SiovAdi): NetPort | null {
    this.followers.push(follower);
    if (this.uplink === null) return null;
    if (this.steering === null) {
      this.steering = new Steering(this.uplink, this.hw.sched);
      this.use(this.steering.attach(`${this.uplink.name} itself`));
    }
    return this.steering.attach(`${this.uplink.name} follower ${follower.index}`);
  }

  private dismiss(follower: SiovAdi): undefined {
    this.followers.splice(this.followers.indexOf(follower), 1);
    follower.port?.unplug();
    if (this.followers.length > 0 || this.steering === null) return;
    this.port?.unplug();
    this.steering = null;
    this.use(this.uplink);
  }

  private stateAt(offset: number): VirtQueue | null {
    const at = offset - STATE_OFFSET;
    return at >= 0 && at % 4 === 0 ? this.queues[at / 4] ?? null : null;
  }
}
