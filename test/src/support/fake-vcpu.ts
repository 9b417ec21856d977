/** A stand-in for the side of interrupt bypass that KVM has. */
import type { Atomic } from '@vdpalab/abi';
import type { EventfdCtx } from '@vdpalab/fs';
import type { IrqBypassConsumer } from '@vdpalab/irqbypass';
import type { UserProcess } from '@vdpalab/lab';
import type { World } from './world.ts';

/** A virtual CPU: while attached, takes the interrupts of the producer with the same eventfd itself. */
export class FakeVcpu {
  /** Interrupts posted to it. */
  taken = 0;
  /** `on` and `off`, as producers came and went. */
  readonly log: string[] = [];
  readonly #world: World;
  readonly #token: EventfdCtx;
  readonly #consumer: IrqBypassConsumer;

  private constructor(world: World, token: EventfdCtx, wakes: boolean) {
    this.#world = world;
    this.#token = token;
    const { lab } = world;
    const { trace } = lab.hw;
    const post = (): Atomic => {
      this.taken++;
      if (trace.enabled) lab.hw.sched.cause = trace.emit('guest_interrupt', { taken: this.taken });
      return wakes ? lab.symbol('eventfd_signal')(token, 1) : undefined;
    };
    const route = (irq: number, on: boolean): void => {
      lab.symbol('irq_set_vcpu_affinity')(irq, on ? { post } : null);
      this.log.push(on ? 'on' : 'off');
    };
    this.#consumer = { token, add_producer: async ({ irq }) => route(irq, true), del_producer: async ({ irq }) => route(irq, false) };
  }

  /**
   * Make one for an eventfd of a process; it holds a reference until {@link release}.
   *
   * @param wakes whether its guest's handler wakes the driver, which then sees what it would of a relayed interrupt; true when absent
   */
  static async create(world: World, process: UserProcess, fd: number, wakes = true): Promise<FakeVcpu> {
    return world.lab.as(process, async (p) => new FakeVcpu(world, world.lab.symbol('eventfd_ctx_fdget')(p.proc, fd), wakes));
  }

  /** Inside a task. @throws EBUSY when the eventfd has a consumer */
  async attach(): Promise<void> {
    await this.#world.lab.symbol('irq_bypass_register_consumer')(this.#consumer);
  }

  /** Inside a task. */
  async detach(): Promise<void> {
    await this.#world.lab.symbol('irq_bypass_unregister_consumer')(this.#consumer);
  }

  async release(): Promise<void> {
    await this.#world.lab.kernel(async () => this.#world.lab.symbol('eventfd_ctx_put')(this.#token));
  }
}
