/** All interrupt numbers of one kernel. Mirrors `kernel/irq/{irqdesc,manage,msi}.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic, Machine } from '@vdpalab/abi';
import { IRQF_NO_AUTOEN, IRQF_SHARED } from '@vdpalab/uapi';
import { IrqDesc } from './desc.ts';
import type { IrqAction, IrqKernel } from './desc.ts';

/** Numbers below are the legacy interrupts of a PC, which this machine does not have. */
const FIRST_IRQ = 24;

/** The descriptors, by number and by vector. */
export class IrqTable {
  /** Interrupts of vectors that nobody has. */
  spurious = 0;
  readonly #k: IrqKernel & { readonly machine: Pick<Machine, 'irq' | 'sched' | 'trace'> };
  readonly #byIrq = new Map<number, IrqDesc>();
  readonly #byVector = new Map<number, IrqDesc>();

  constructor(k: IrqKernel & { readonly machine: Pick<Machine, 'irq' | 'sched' | 'trace'> }) {
    this.#k = k;
  }

  /** In the order of their numbers. */
  descs(): IrqDesc[] {
    return [...this.#byIrq.values()].toSorted((a, b) => a.irq - b.irq);
  }

  /** @throws EINVAL for a number nobody allocated */
  desc(irq: number): IrqDesc {
    const desc = this.#byIrq.get(irq);
    if (desc === undefined) throw new KernelError('EINVAL', 'irq.number.unknown', `irq ${irq}: not allocated`);
    return desc;
  }

  /** An interrupt message arrived; atomic. */
  onVector(vector: number): Atomic {
    const desc = this.#byVector.get(vector);
    if (desc !== undefined) return desc.fire();
    this.spurious++;
  }

  /** The lowest free number, with a vector of its own. @throws ENOSPC */
  alloc(chip: string, hwirq: number, source?: number): { irq: number; address: number; data: number } {
    const chipset = this.#k.machine.irq;
    const vector = chipset.allocVector(source);
    let irq = FIRST_IRQ;
    while (this.#byIrq.has(irq)) irq++;
    const desc = new IrqDesc(this.#k, irq, vector, chip, hwirq);
    this.#byIrq.set(irq, desc);
    this.#byVector.set(vector, desc);
    return { irq, ...chipset.message(vector) };
  }

  /** @throws Error (a lab bug) while a handler is registered or the interrupt is posted */
  free(irq: number): void {
    const desc = this.desc(irq);
    const [action] = desc.actions;
    if (action !== undefined) throw new Error(`irq ${irq}: freed while ${action.name} handles it`);
    if (desc.vcpu !== null) throw new Error(`irq ${irq}: freed while it is posted`);
    this.#byIrq.delete(irq);
    this.#byVector.delete(desc.vector);
    this.#k.machine.irq.freeVector(desc.vector);
  }

  /** `__setup_irq` */
  request(irq: number, action: IrqAction): void {
    const desc = this.desc(irq);
    const shared = (action.flags & IRQF_SHARED) !== 0;
    if (shared && (action.devId === null || action.devId === undefined)) {
      throw new KernelError('EINVAL', 'irq.request.shared-id', `irq ${irq}: ${action.name} shares it without a devId`);
    }
    const [old] = desc.actions;
    if (old !== undefined && !(shared && (old.flags & IRQF_SHARED) !== 0)) {
      this.#k._printk(3, `genirq: Flags mismatch irq ${irq}. ${hex(action.flags)} (${action.name}) vs. ${hex(old.flags)} (${old.name})`);
      throw new KernelError('EBUSY', 'irq.request.taken', `irq ${irq}: ${old.name} has it, and ${action.name} cannot share`);
    }
    desc.actions.push(action);
    if (old !== undefined) return;
    desc.depth = (action.flags & IRQF_NO_AUTOEN) === 0 ? 0 : 1;
    desc.pending = false;
  }

  /** @throws Error (a lab bug) when there is no such handler */
  release(irq: number, devId: unknown): void {
    const { actions } = this.desc(irq);
    const at = actions.findIndex((action) => action.devId === devId);
    if (at < 0) throw new Error(`irq ${irq}: trying to free already-free handler`);
    actions.splice(at, 1);
  }

  /** What remains, for leak reports. */
  leftovers(): string[] {
    return this.descs().flatMap((desc) => [
      `irq ${desc.irq}: ${desc.chip} ${desc.hwirq} allocated`,
      ...desc.actions.map((action) => `irq ${desc.irq}: handler ${action.name}`),
      ...(desc.vcpu === null ? [] : [`irq ${desc.irq}: posted`]),
    ]);
  }
}

function hex(flags: number): string {
  return flags.toString(16).padStart(8, '0');
}
