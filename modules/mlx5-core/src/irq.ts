/** Vectors of a PCI function, which it shares with its subfunctions. Mirrors `pci_irq.c` (Linux 6.1). */
import { UndoStack, withUndo } from '@vdpalab/abi';
import type { CoreDev } from './core-dev.ts';
import { AtomicNotifier } from './notifier.ts';

/** `MLX5_IRQ_VEC_COMP_BASE`: the first vector is for events that are no completions, the second for the function's completions. */
const OWN_VECTORS = 2;
/** Vectors for events of subfunctions at most. @see `MLX5_IRQ_CTRL_SF_MAX` */
const SF_CTRL_MAX = 8;

/** What a vector is for. */
export type IrqPurpose = 'async' | 'comp';

/** `struct mlx5_irq`: a vector with a handler, and the event queues that use it. */
export class Mlx5Irq {
  readonly index: number;
  /** Called for each interrupt. */
  readonly chain = new AtomicNotifier<undefined>();
  users = 0;

  constructor(index: number) {
    this.index = index;
  }
}

/** `struct mlx5_irq_table` of a PCI function. */
export class IrqTable {
  readonly #dev: CoreDev;
  readonly #irqs = new Map<number, Mlx5Irq>();
  /** Vectors there are; 0 while there are none. */
  #vectors = 0;

  constructor(dev: CoreDev) {
    this.#dev = dev;
  }

  /** @throws ENOSPC when it has fewer than two @see `mlx5_irq_table_create` */
  async create(): Promise<void> {
    const { k, pdev, caps } = this.#dev;
    const wanted = OWN_VECTORS + (caps.maxSfs === 0 ? 0 : SF_CTRL_MAX + caps.maxSfs);
    this.#vectors = await k.pci_alloc_irq_vectors(pdev, OWN_VECTORS, Math.min(wanted, k.pci_msix_vec_count(pdev)));
  }

  /** @see `mlx5_irq_table_destroy` */
  async destroy(): Promise<void> {
    if (this.#irqs.size > 0) throw new Error(`${this.#dev.device.name}: vectors ${[...this.#irqs.keys()].join()} have users`);
    this.#vectors = 0;
    await this.#dev.k.pci_free_irq_vectors(this.#dev.pdev);
  }

  /**
   * A vector of the function's own, or for a subfunction the one with the fewest users.
   *
   * @throws EBUSY and the like of request_irq
   * @see `mlx5_irq_request`, `mlx5_irq_affinity_request`
   */
  async request(dev: CoreDev, purpose: IrqPurpose): Promise<Mlx5Irq> {
    const index = this.#choose(dev, purpose);
    const irq = this.#irqs.get(index) ?? new Mlx5Irq(index);
    const undo = new UndoStack();
    return await withUndo(undo, async () => {
      irq.users++;
      undo.push('user', () => void irq.users--);
      if (irq.users === 1) await this.#start(irq, dev, purpose);
      return irq;
    });
  }

  /** @see `mlx5_irq_put` */
  async release(irq: Mlx5Irq): Promise<void> {
    if (--irq.users > 0) return;
    this.#irqs.delete(irq.index);
    await this.#dev.k.free_irq(this.#dev.k.pci_irq_vector(this.#dev.pdev, irq.index), irq);
  }

  async #start(irq: Mlx5Irq, dev: CoreDev, purpose: IrqPurpose): Promise<void> {
    const { k, pdev } = this.#dev;
    const kind = dev.coredev_type === 'MLX5_COREDEV_SF' ? `sf_${purpose === 'async' ? 'ctrl' : 'comp'}` : purpose;
    const number = dev.coredev_type === 'MLX5_COREDEV_SF' ? irq.index : 0;
    await k.request_irq(k.pci_irq_vector(pdev, irq.index), () => {
      irq.chain.call(undefined);
      return 'IRQ_HANDLED';
    }, 0, `mlx5_${kind}${number}@pci:${pdev.dev.name}`, irq);
    this.#irqs.set(irq.index, irq);
  }

  #choose(dev: CoreDev, purpose: IrqPurpose): number {
    const own = purpose === 'async' ? 0 : 1;
    if (dev.coredev_type !== 'MLX5_COREDEV_SF') return own;
    const shared = this.#vectors - OWN_VECTORS;
    if (shared < 2) return own; // too few: subfunctions share the function's
    const ctrl = Math.min(SF_CTRL_MAX, shared >> 1);
    const [from, end] = purpose === 'async' ? [OWN_VECTORS, OWN_VECTORS + ctrl] : [OWN_VECTORS + ctrl, this.#vectors];
    let [best, least] = [from, Infinity];
    for (let index = from; index < end && least > 0; index++) {
      const users = this.#irqs.get(index)?.users ?? 0;
      if (users < least) [best, least] = [index, users];
    }
    return best;
  }
}
