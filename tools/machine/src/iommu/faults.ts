/** The log of DMA the platform IOMMU refused. */
import type { Atomic, AtomicWork, IommuFault, Scheduler } from '@vdpalab/abi';

/** Faults kept; older ones are dropped. */
export const FAULTS_KEPT = 256;

/**
 * A bounded log that tells the kernel of each fault once, at the scheduler's gate, as the fault interrupt would.
 *
 * Faults that come faster than the kernel takes them are dropped beyond the bound, as by VT-d's fault registers.
 */
export class FaultLog {
  /** Oldest first. */
  readonly entries: IommuFault[] = [];
  /** Faults the kernel was never told of. */
  dropped = 0;
  onFault: ((fault: IommuFault) => Atomic) | null = null;
  private untold: IommuFault[] = [];
  private readonly sched: Scheduler;
  private readonly work: AtomicWork;

  constructor(sched: Scheduler) {
    this.sched = sched;
    this.work = { name: 'iommu fault', run: () => this.tell(), pending: false, cause: 0 };
  }

  record(fault: IommuFault): undefined {
    if (this.entries.length === FAULTS_KEPT) this.entries.shift();
    this.entries.push(fault);
    if (this.onFault === null) return;
    if (this.untold.length === FAULTS_KEPT) {
      this.dropped++;
      return;
    }
    this.untold.push(fault);
    this.sched.raise(this.work);
  }

  private tell(): undefined {
    const faults = this.untold;
    this.untold = [];
    for (const fault of faults) this.onFault?.(fault);
  }
}
