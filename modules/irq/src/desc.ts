/** `struct irq_desc` and its handlers: what one interrupt number knows and does. Mirrors `kernel/irq/{chip,handle,spurious}.c` (Linux 6.1). */
import type { Atomic, AtomicWork, Machine } from '@vdpalab/abi';
import type { IrqHandler, IrqVcpuInfo } from './header.ts';

/** `struct irqaction` */
export interface IrqAction {
  readonly handler: IrqHandler;
  readonly flags: number;
  readonly name: string;
  readonly devId: unknown;
}

/** Interrupts after which the handled ones among them are looked at, and how many unhandled ones are too many. */
const SPURIOUS_WINDOW = 100_000;
const SPURIOUS_MAX = 99_900;

/** What a descriptor asks of the kernel. */
export interface IrqKernel {
  readonly machine: Pick<Machine, 'sched' | 'trace'>;
  readonly _printk: (level: number, text: string) => Atomic;
}

/** One interrupt number. */
export class IrqDesc {
  readonly irq: number;
  readonly vector: number;
  readonly chip: string;
  readonly hwirq: number;
  readonly actions: IrqAction[] = [];
  /** Interrupts handled by the host; those nobody was there for, or wanted; those posted. */
  count = 0;
  spurious = 0;
  posted = 0;
  /** Disabled so many times. */
  depth = 0;
  /** Came while disabled. */
  pending = false;
  vcpu: IrqVcpuInfo | null = null;
  readonly #k: IrqKernel;
  /** Delivers what came while disabled, in atomic context. */
  readonly #resend: AtomicWork;
  #window = 0;
  #unhandled = 0;

  constructor(k: IrqKernel, irq: number, vector: number, chip: string, hwirq: number) {
    this.#k = k;
    this.irq = irq;
    this.vector = vector;
    this.chip = chip;
    this.hwirq = hwirq;
    this.#resend = { name: `resend irq ${irq}`, pending: false, cause: 0, run: () => this.fire() };
  }

  /** An interrupt arrived; atomic. */
  fire(): Atomic {
    if (this.vcpu !== null) return this.#post(this.vcpu);
    if (this.depth > 0) {
      this.pending = true;
      return;
    }
    if (this.actions.length === 0) {
      this.spurious++;
      return;
    }
    this.count++;
    let handled = false;
    for (const action of [...this.actions]) handled = this.#handle(action) || handled;
    this.#note(handled);
  }

  /** As `__enable_irq`: the last enable lets in what came meanwhile. @throws Error (a lab bug) when it is not disabled */
  enable(): void {
    if (this.depth === 0) throw new Error(`irq ${this.irq}: unbalanced enable`);
    if (--this.depth > 0 || !this.pending) return;
    this.pending = false;
    this.#k.machine.sched.raise(this.#resend);
  }

  #handle(action: IrqAction): boolean {
    const { trace, sched } = this.#k.machine;
    const outer = sched.cause;
    if (trace.enabled) sched.cause = trace.emit('irq_handler', { irq: this.irq, name: action.name });
    try {
      return action.handler(this.irq, action.devId) === 'IRQ_HANDLED';
    } finally {
      sched.cause = outer;
    }
  }

  #post(vcpu: IrqVcpuInfo): Atomic {
    const { trace, sched } = this.#k.machine;
    const outer = sched.cause;
    this.posted++;
    if (trace.enabled) sched.cause = trace.emit('irq_posted', { irq: this.irq });
    try {
      return vcpu.post();
    } finally {
      sched.cause = outer;
    }
  }

  /** `note_interrupt`: an interrupt that nearly nobody ever handles is switched off. */
  #note(handled: boolean): void {
    if (!handled) {
      this.spurious++;
      this.#unhandled++;
    }
    if (++this.#window < SPURIOUS_WINDOW) return;
    const bad = this.#unhandled > SPURIOUS_MAX;
    this.#window = 0;
    this.#unhandled = 0;
    if (!bad) return;
    this.#k._printk(3, `irq ${this.irq}: nobody cared (try booting with the "irqpoll" option)`);
    this.#k._printk(0, `Disabling IRQ #${this.irq}`);
    this.depth++;
  }
}
