/** Event queues: entries in host memory, and an interrupt for the first since the driver asked. */
import { mlx5_eqe } from '@vdpalab/uapi';
import type { DmaPort } from '../dma.ts';

const PAGE_SIZE = 4096;
/** Consumer and producer indices have 24 bits. */
const INDEX_MASK = 0xff_ffff;

/** What CREATE_EQ says. */
export interface EventQueueSettings {
  /** Bus addresses of the pages, in the order of the entries. */
  readonly pages: readonly number[];
  /** log2 of the entries. */
  readonly logSize: number;
  /** Bit n: events of type n come here. */
  readonly mask: bigint;
  /** MSI-X vector. */
  readonly vector: number;
}

/** Where entries and interrupts go. */
export interface EventSite {
  /** `null` without bus mastering. */
  readonly dma: () => DmaPort | null;
  readonly interrupt: (vector: number) => undefined;
}

/** One queue. */
export class EventQueue {
  readonly number: number;
  readonly settings: EventQueueSettings;
  /** Events that found it full, or memory out of reach. */
  lost = 0;
  private producer = 0;
  private consumer = 0;
  private armed = false;
  private readonly site: EventSite;

  constructor(number: number, settings: EventQueueSettings, site: EventSite) {
    this.number = number;
    this.settings = settings;
    this.site = site;
  }

  /** Whether events of a type come here. */
  takes(type: number): boolean {
    return type < 64 && (this.settings.mask & (1n << BigInt(type))) !== 0n;
  }

  /** Write an event. @param data up to 28 bytes */
  post(type: number, subType: number, data: Uint8Array): undefined {
    const { logSize, pages, vector } = this.settings;
    const port = this.site.dma();
    const entry = mlx5_eqe.make({ type, sub_type: subType, owner: (this.producer >>> logSize) & 1 });
    entry.set(data, mlx5_eqe.offsetof('data'));
    const at = (this.producer & ((1 << logSize) - 1)) * mlx5_eqe.size;
    const full = ((this.producer - this.consumer) & INDEX_MASK) >= 1 << logSize;
    if (full || port === null || !port.write(pages[Math.floor(at / PAGE_SIZE)]! + (at % PAGE_SIZE), entry)) {
      this.lost++;
      return;
    }
    this.producer = (this.producer + 1) & INDEX_MASK;
    if (!this.armed) return;
    this.armed = false;
    this.site.interrupt(vector);
  }

  /** The driver has seen entries up to an index. @param arm whether the next one shall interrupt; one that is there does at once */
  consumed(index: number, arm: boolean): undefined {
    this.consumer = index & INDEX_MASK;
    this.armed = arm;
    if (!arm || this.producer === this.consumer) return;
    this.armed = false;
    this.site.interrupt(this.settings.vector);
  }
}
