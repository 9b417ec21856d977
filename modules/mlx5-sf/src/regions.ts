/** Which key the data queues use, and what becomes of old ones. Mirrors the life of `struct mlx5_vdpa_mr` (Linux 6.1; references and collection are of 6.7 and later). */
import type { Work, Workqueue } from '@vdpalab/sched';
import type { VhostIotlb } from '@vdpalab/vhost-iotlb';
import { createDmaMr, createUserMr } from './mr.ts';
import type { KeyMaker, MemoryRegion } from './mr.ts';

/** Keys of one device. */
export class Regions {
  /** The data queues' key; `null` while nothing is mapped. */
  current: MemoryRegion | null = null;
  readonly #maker: KeyMaker;
  readonly #wq: Workqueue;
  readonly #garbage: MemoryRegion[] = [];
  readonly #collect: Work;

  constructor(maker: KeyMaker) {
    this.#maker = maker;
    this.#wq = maker.k.alloc_workqueue('mlx5_vdpa_mr_gc');
    this.#collect = maker.k.INIT_WORK('mlx5_vdpa_mr_gc', () => this.#destroyGarbage());
  }

  /** A key of a table, or `null` for an empty one. @throws what the firmware answers */
  async make(iotlb: VhostIotlb): Promise<MemoryRegion | null> {
    return iotlb.nmaps === 0 ? null : await createUserMr(this.#maker, iotlb);
  }

  /** The key of all memory. @throws what the firmware answers */
  async makeDma(): Promise<MemoryRegion> {
    return await createDmaMr(this.#maker);
  }

  /** The device uses another key from now on, or none; queues have let go of the old one. */
  use(mr: MemoryRegion | null): void {
    const old = this.current;
    this.current = mr;
    if (old !== null) this.put(old);
  }

  /** Drop a reference. With the last one the key is destroyed, later: that takes commands. @see `mlx5_vdpa_put_mr` */
  put(mr: MemoryRegion): void {
    if (--mr.refs > 0) return;
    this.#garbage.push(mr);
    this.#maker.k.queue_work(this.#wq, this.#collect);
  }

  /** Destroy all. @see `mlx5_vdpa_destroy_mr_resources` */
  async destroy(): Promise<void> {
    this.use(null);
    await this.#maker.k.destroy_workqueue(this.#wq);
  }

  async #destroyGarbage(): Promise<void> {
    for (let mr = this.#garbage.shift(); mr !== undefined; mr = this.#garbage.shift()) await mr.undo.run();
  }
}
