/** Pages of doorbells. Mirrors `uar.c` (Linux 6.1). */
import type { IoMem } from '@vdpalab/pci';
import { MLX5_CMD_OP_ALLOC_UAR, MLX5_CMD_OP_DEALLOC_UAR, mlx5_cmd_in, mlx5_cmd_out } from '@vdpalab/uapi';
import type { CoreDev } from './core-dev.ts';
import type { Mlx5UarsPage } from './header.ts';

/** A page, and how many have it. */
interface UarsPage extends Mlx5UarsPage {
  users: number;
}

/** Pages of one function: all users share one. */
export class Uars {
  readonly #dev: CoreDev;
  #page: UarsPage | null = null;

  constructor(dev: CoreDev) {
    this.#dev = dev;
  }

  /** @see `mlx5_get_uars_page` */
  async get(): Promise<Mlx5UarsPage> {
    this.#page ??= await this.#alloc();
    this.#page.users++;
    return this.#page;
  }

  /** @see `mlx5_put_uars_page` */
  async put(index: number): Promise<void> {
    const page = this.#page;
    if (page === null || page.index !== index) throw new Error(`${this.#dev.device.name}: no page ${index} of doorbells`);
    if (--page.users > 0) return;
    this.#page = null;
    this.#dev.k.pci_iounmap(this.#dev.pdev, page.map);
    await this.#dealloc(page.index);
  }

  async #alloc(): Promise<UarsPage> {
    const out = await this.#dev.cmd.exec(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_ALLOC_UAR }), mlx5_cmd_out.size);
    const index = mlx5_cmd_out.get(out, 'number');
    let map: IoMem;
    try {
      map = this.#dev.mapPage(index);
    } catch (error) {
      await this.#dealloc(index);
      throw error;
    }
    return { index, map, users: 0 };
  }

  async #dealloc(index: number): Promise<void> {
    await this.#dev.cmd.undo(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_DEALLOC_UAR, number: index }), mlx5_cmd_out.size);
  }
}
