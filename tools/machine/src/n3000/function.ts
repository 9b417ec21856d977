/**
 * An N3000 network function: virtio 1.0 over PCI with IFCVF's live migration region.
 *
 * Physical and virtual functions are alike here; what differs is their configuration space.
 */
import type { DirtyLog } from '@vdpalab/vring';
import type { DmaPort } from '../dma.ts';
import type { FunctionParts, FunctionSite } from '../pci/function.ts';
import { NetFunction } from '../virtio/net-function.ts';
import { newN3000Counters } from './counters.ts';
import type { N3000Counters } from './counters.ts';
import { BothLogs, PageLog } from './dirty-log.ts';
import {
  BAR_MIGRATION, BAR_NOTIFY, BAR_REGISTERS, COMMON_OFFSET, COMMON_SIZE, DEVICE_OFFSET, DEVICE_SIZE, ISR_OFFSET, MSIX_PBA_OFFSET,
  MSIX_TABLE_OFFSET, doorbellQueue, queueCount,
} from './layout.ts';
import { MigrationRegion } from './lm-region.ts';
import { offeredFeatures } from './settings.ts';
import type { N3000Settings } from './settings.ts';

const TWO_32 = 0x1_0000_0000;

/** One network function. */
export class N3000Function extends NetFunction<N3000Counters> {
  readonly settings: N3000Settings;
  readonly migration: MigrationRegion;
  private readonly pageLog: PageLog;

  constructor(site: FunctionSite, parts: FunctionParts, settings: N3000Settings) {
    super(site, parts, {
      counters: newN3000Counters(), features: offeredFeatures(settings),
      queues: queueCount(settings.queuePairs), queueSize: settings.queueSize,
    }, settings);
    this.settings = settings;
    this.migration = new MigrationRegion(settings.profile, this.queues, {
      logging: () => this.logWritten(),
      pairs: (wanted) => void this.setPairs(wanted) as undefined,
    });
    this.pageLog = new PageLog(this.counters);
  }

  readBar(bar: number, offset: number, size: 1 | 2 | 4): number {
    if (bar === BAR_REGISTERS) return this.readRegisters(offset, size);
    return bar === BAR_MIGRATION ? this.migration.read(offset, size) : 0;
  }

  writeBar(bar: number, offset: number, size: 1 | 2 | 4, value: number): undefined {
    if (bar === BAR_NOTIFY) this.kick(value, doorbellQueue(offset));
    else if (bar === BAR_MIGRATION) this.migration.write(offset, size, value);
    else if (bar === BAR_REGISTERS) this.writeRegisters(offset, size, value);
  }

  /** Whose DMA writes the log when the driver asks for the physical function's. */
  protected logPort(): DmaPort {
    return this.dma;
  }

  protected override onDeviceReset(): undefined {
    super.onDeviceReset();
    this.migration.reset();
    this.pageLog.set(null, 0, 0);
  }

  protected override beginTurn(): undefined {
    this.pageLog.begin();
  }

  /** The hardware's log, the observer of all DMA, or both. */
  protected override queueLog(): DirtyLog | null {
    const observer = this.dma.log;
    if (!this.pageLog.on) return observer;
    return observer === null ? this.pageLog : new BothLogs(this.pageLog, observer);
  }

  private readRegisters(offset: number, size: 1 | 2 | 4): number {
    if (offset < COMMON_OFFSET + COMMON_SIZE) return this.common.read(offset, size);
    if (offset === ISR_OFFSET) return this.interrupts.takeIsr();
    if (offset >= DEVICE_OFFSET && offset < DEVICE_OFFSET + DEVICE_SIZE) return this.net.read(offset - DEVICE_OFFSET, size);
    if (offset >= MSIX_PBA_OFFSET) return this.msix?.readPending(offset - MSIX_PBA_OFFSET, size) ?? 0;
    return offset >= MSIX_TABLE_OFFSET ? this.msix?.readTable(offset - MSIX_TABLE_OFFSET, size) ?? 0 : 0;
  }

  private writeRegisters(offset: number, size: 1 | 2 | 4, value: number): undefined {
    if (offset < COMMON_OFFSET + COMMON_SIZE) this.common.write(offset, size, value);
    else if (offset >= MSIX_TABLE_OFFSET && offset < MSIX_PBA_OFFSET) this.msix?.writeTable(offset - MSIX_TABLE_OFFSET, size, value);
  }

  private logWritten(): undefined {
    const { control, baseLo, baseHi, endLo, endHi } = this.migration;
    const port = control === 0 ? null : control === 3 ? this.logPort() : this.dma;
    this.pageLog.set(port, baseHi * TWO_32 + baseLo, endHi * TWO_32 + endLo);
    for (const queue of this.queues) queue.relog();
  }
}
