/** The event queues of a function, and who is told of what. Mirrors `eq.c` and `events.c` (Linux 6.1). */
import { KernelError, UndoStack, withUndo } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import {
  MLX5_CMD_OP_CREATE_CQ, MLX5_CMD_OP_DESTROY_CQ, MLX5_EVENT_TYPE_CMD, MLX5_EVENT_TYPE_OBJECT_CHANGE, MLX5_EVENT_TYPE_PORT_CHANGE,
  MLX5_EVENT_TYPE_VHCA_STATE_CHANGE, mlx5_cmd_in, mlx5_cmd_out, mlx5_create_cq_in, mlx5_eqe, mlx5_eqe_cmd, mlx5_eqe_comp, mlx5_eqe_vhca_state,
} from '@vdpalab/uapi';
import type { CoreDev } from './core-dev.ts';
import { EventQueue } from './eq.ts';
import type { Mlx5CoreCq, Mlx5CoreCqInit, Mlx5Nb } from './header.ts';
import { AtomicNotifier } from './notifier.ts';

/** `MLX5_NUM_CMD_EQE` */
const CMD_EQES = 32;
const DATA = mlx5_eqe.offsetof('data');

const mask = (...types: readonly number[]): bigint => types.reduce((bits, type) => bits | (1n << BigInt(type)), 0n);

/** `struct mlx5_eq_table`: a queue for commands, one for what happens, one for completions. */
export class EqTable {
  readonly #dev: CoreDev;
  /** Who wants to know of changes of the port and of objects. */
  readonly #nbs = new AtomicNotifier<readonly [event: number, eqe: Uint8Array]>();
  readonly #registered = new Map<Mlx5Nb, (event: readonly [number, Uint8Array]) => Atomic>();
  readonly #cqs = new Map<number, Mlx5CoreCq>();
  #undo = new UndoStack();
  #comp: EventQueue | null = null;
  /** Told of changes of functions' states. */
  onVhcaState: ((functionId: number) => Atomic) | null = null;

  constructor(dev: CoreDev) {
    this.#dev = dev;
  }

  /** @throws what making a queue does; none is left then @see `mlx5_eq_table_create` */
  async create(): Promise<void> {
    const dev = this.#dev;
    await withUndo(this.#undo, async () => {
      // Subfunctions are polled: a vector is shared by many of them, and each of its interrupts looks at all their queues.
      if (dev.coredev_type !== 'MLX5_COREDEV_SF') {
        await this.#make('cmd', mask(MLX5_EVENT_TYPE_CMD), CMD_EQES, (_, eqe) => dev.cmd.complete(mlx5_eqe_cmd.get(eqe, 'vector', DATA)));
        await dev.cmd.useEvents();
        this.#undo.push('command events', () => dev.cmd.usePolling());
      }
      const types = [MLX5_EVENT_TYPE_PORT_CHANGE, MLX5_EVENT_TYPE_OBJECT_CHANGE];
      if (dev.caps.vhcaEvents) types.push(MLX5_EVENT_TYPE_VHCA_STATE_CHANGE);
      await this.#make('async', mask(...types), this.#size('event_eq_size'), (type, eqe) => this.#event(type, eqe));
      this.#comp = await EventQueue.create(dev, {
        purpose: 'comp', mask: 0n, nent: this.#size('io_eq_size'),
        handler: (_, eqe) => this.#cqs.get(mlx5_eqe_comp.get(eqe, 'cqn', DATA))?.comp(eqe),
      });
      const comp = this.#comp;
      this.#undo.push('comp EQ', async () => {
        this.#comp = null;
        await comp.destroy();
      });
    });
  }

  /** @see `mlx5_eq_table_destroy` */
  async destroy(): Promise<void> {
    await this.#undo.run();
  }

  /** Completion vectors. */
  get vectors(): number {
    return this.#comp === null ? 0 : 1;
  }

  /** @throws ENOENT @see `mlx5_vector2eqn` */
  vector2eqn(vector: number): number {
    if (this.#comp !== null && vector === 0) return this.#comp.eqn;
    throw new KernelError('ENOENT', 'mlx5.eq.vector', `${this.#dev.device.name}: completion vector ${vector} of ${this.vectors}`);
  }

  register(nb: Mlx5Nb): undefined {
    const call = ([event, eqe]: readonly [number, Uint8Array]): Atomic => nb(event, eqe);
    this.#registered.set(nb, call);
    return this.#nbs.register(call);
  }

  unregister(nb: Mlx5Nb): undefined {
    const call = this.#registered.get(nb);
    this.#registered.delete(nb);
    return call === undefined ? undefined : this.#nbs.unregister(call);
  }

  /** @see `mlx5_core_create_cq` */
  async createCq(init: Mlx5CoreCqInit, input: Uint8Array): Promise<Mlx5CoreCq> {
    mlx5_create_cq_in.set(input, 'opcode', MLX5_CMD_OP_CREATE_CQ);
    const out = await this.#dev.cmd.exec(input, mlx5_cmd_out.size);
    const cq: Mlx5CoreCq = { ...init, cqn: mlx5_cmd_out.get(out, 'number') };
    this.#cqs.set(cq.cqn, cq);
    return cq;
  }

  /** @see `mlx5_core_destroy_cq` */
  async destroyCq({ cqn }: Mlx5CoreCq): Promise<void> {
    this.#cqs.delete(cqn);
    await this.#dev.cmd.exec(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_DESTROY_CQ, number: cqn }), mlx5_cmd_out.size);
  }

  /** What users of the function have not given back. */
  leftovers(): string[] {
    return [...[...this.#cqs.keys()].map((cqn) => `completion queue ${cqn}`), ...(this.#registered.size > 0 ? [`${this.#registered.size} notifiers`] : [])];
  }

  async #make(name: string, types: bigint, nent: number, handler: (type: number, eqe: Uint8Array) => Atomic): Promise<void> {
    let eq: EventQueue;
    try {
      eq = await EventQueue.create(this.#dev, { purpose: 'async', mask: types, nent, handler });
    } catch (error) {
      this.#dev.warn(`failed to create ${name} EQ`);
      throw error;
    }
    this.#undo.push(`${name} EQ`, () => eq.destroy());
  }

  #event(type: number, eqe: Uint8Array): Atomic {
    if (type === MLX5_EVENT_TYPE_VHCA_STATE_CHANGE) return this.onVhcaState?.(mlx5_eqe_vhca_state.get(eqe, 'function_id', DATA));
    return this.#nbs.call([type, eqe]);
  }

  #size(param: string): number {
    const value = this.#dev.driverinit(param);
    return typeof value === 'number' ? value : this.#dev.eqSize;
  }
}
