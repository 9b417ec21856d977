/** An event queue: a ring that the device writes to, and the interrupt that says so. Mirrors `eq.c` (Linux 6.1). */
import { UndoStack, withUndo } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import {
  MLX5_CMD_OP_CREATE_EQ, MLX5_CMD_OP_DESTROY_EQ, MLX5_EQ_DOORBEL_OFFSET, mlx5_cmd_in, mlx5_cmd_out, mlx5_create_eq_in, mlx5_eqe, swab32,
} from '@vdpalab/uapi';
import type { CoreDev } from './core-dev.ts';
import { fillPages } from './memory.ts';
import type { IrqPurpose } from './irq.ts';

/** Entries beyond those asked for, so that the index is told before the ring is full. */
const SPARE_EQES = 128;
/** Events handled at an interrupt at most; what is left interrupts again. */
const BUDGET = 128;
const OWNER_OFFSET = mlx5_eqe.offsetof('owner');

/** What a queue is to be. */
export interface EqParam {
  readonly purpose: IrqPurpose;
  /** Event types that come to it, bit n for type n; none for completions, which name their queue themselves. */
  readonly mask: bigint;
  /** Entries at least. */
  readonly nent: number;
  /** An event; atomic. */
  readonly handler: (type: number, eqe: Uint8Array) => Atomic;
}

/** `struct mlx5_eq` */
export class EventQueue {
  readonly eqn: number;
  readonly #dev: CoreDev;
  readonly #param: EqParam;
  readonly #ring: Uint8Array;
  readonly #nent: number;
  readonly #undo: UndoStack;
  #consIndex = 0;

  private constructor(dev: CoreDev, param: EqParam, ring: Uint8Array, eqn: number, undo: UndoStack) {
    this.#dev = dev;
    this.#param = param;
    this.#ring = ring;
    this.#nent = ring.length / mlx5_eqe.size;
    this.eqn = eqn;
    this.#undo = undo;
  }

  /** @throws ENOMEM; what the firmware answers; nothing is left then @see `create_map_eq`, `mlx5_eq_enable` */
  static async create(dev: CoreDev, param: EqParam): Promise<EventQueue> {
    const { k, pdev, irqs } = dev;
    const undo = new UndoStack();
    return await withUndo(undo, async () => {
      const irq = await irqs.request(dev, param.purpose);
      undo.push('vector', () => irqs.release(irq));
      const logSize = Math.ceil(Math.log2(param.nent + SPARE_EQES));
      const mem = k.dma_alloc_coherent(pdev.dev, 2 ** logSize * mlx5_eqe.size);
      undo.push('ring', () => void k.dma_free_coherent(pdev.dev, mem));
      const ring = k.phys_view(mem.run.pa, mem.size);
      for (let at = OWNER_OFFSET; at < ring.length; at += mlx5_eqe.size) ring[at] = 1;
      const input = mlx5_create_eq_in.make({
        opcode: MLX5_CMD_OP_CREATE_EQ, log_eq_size: logSize, uar_page: dev.uar.index, intr: irq.index, event_bitmask: param.mask,
      }, 8 * mem.run.pages);
      fillPages(mem, input, mlx5_create_eq_in.size);
      const eqn = mlx5_cmd_out.get(await dev.cmd.exec(input, mlx5_cmd_out.size), 'number');
      undo.push('queue', async () => {
        await dev.cmd.undo(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_DESTROY_EQ, number: eqn }), mlx5_cmd_out.size);
      });
      const eq = new EventQueue(dev, param, ring, eqn, undo);
      const poll = (): Atomic => eq.poll();
      irq.chain.register(poll);
      undo.push('handler', () => void irq.chain.unregister(poll));
      eq.#arm();
      return eq;
    });
  }

  async destroy(): Promise<void> {
    await this.#undo.run();
  }

  /** Handle what has come; atomic. @see `mlx5_eq_async_int`, `mlx5_eq_comp_int` */
  poll(): Atomic {
    let handled = 0;
    for (; handled < BUDGET; handled++) {
      const at = (this.#consIndex & (this.#nent - 1)) * mlx5_eqe.size;
      const owner = (this.#consIndex & this.#nent) === 0 ? 0 : 1;
      if ((this.#ring[at + OWNER_OFFSET]! & 1) !== owner) break; // the device's still
      const eqe = this.#ring.slice(at, at + mlx5_eqe.size);
      this.#consIndex++;
      this.#param.handler(mlx5_eqe.get(eqe, 'type'), eqe);
    }
    if (handled > 0) this.#arm();
    return undefined;
  }

  #arm(): void {
    this.#dev.uar.map.write32(MLX5_EQ_DOORBEL_OFFSET, swab32(((this.eqn << 24) | (this.#consIndex & 0xff_ffff)) >>> 0));
  }
}
