/** Which subfunctions of the hardware are taken, by what number of the user. Mirrors `sf/hw_table.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { DriverCoreSymbols, Ida } from '@vdpalab/driver-core';
import type { Mutex, SchedSymbols } from '@vdpalab/sched';
import { MLX5_VHCA_STATE_ALLOCATED } from '@vdpalab/uapi';
import { withMutex } from './lock.ts';
import { refusal } from './refuse.ts';
import type { VhcaStateEvent } from './vhca-state.ts';

/** The firmware's side of it, by function id. */
export interface SfFirmware {
  readonly allocSf: (fnId: number) => Promise<void>;
  readonly deallocSf: (fnId: number) => Promise<void>;
  readonly setSwFunctionId: (fnId: number, sfnum: number) => Promise<void>;
  /** @returns its state, MLX5_VHCA_STATE_*; null when the firmware refuses */
  readonly queryVhcaState: (fnId: number) => Promise<{ readonly state: number } | null>;
}

type Kernel = Pick<SchedSymbols & DriverCoreSymbols, 'mutex_init' | 'mutex_lock' | 'mutex_unlock' | 'ida_init' | 'ida_alloc_max' | 'ida_free'>;

/** `struct mlx5_sf_hw` */
interface SfHw {
  readonly sfnum: number;
  /** Its port is gone; it is given back when the firmware says that its driver has let it go. */
  pendingDelete: boolean;
}

/** `struct mlx5_sf_hw_table`, without a table for the functions of another host. */
export class SfHwTable {
  /** Id of the first function. */
  readonly startFnId: number;
  readonly #k: Kernel;
  readonly #firmware: SfFirmware;
  readonly #max: number;
  /** Serializes deletion and state changes. */
  readonly #lock: Mutex;
  readonly #ids: Ida;
  readonly #sfs = new Map<number, SfHw>();
  readonly #sfnums = new Set<number>();

  /** @param max functions there are */
  constructor(k: Kernel, firmware: SfFirmware, startFnId: number, max: number) {
    this.#k = k;
    this.#firmware = firmware;
    this.startFnId = startFnId;
    this.#max = max;
    this.#lock = k.mutex_init('mlx5_sf_hw_table');
    this.#ids = k.ida_init();
  }

  /** Functions taken now. */
  get size(): number {
    return this.#sfs.size;
  }

  /**
   * Take the lowest free function for the user's number.
   *
   * @returns its id in this table
   * @throws EEXIST when the number is taken; ENOSPC when there is no function left; what the firmware answers, and nothing is taken then
   * @see `mlx5_sf_hw_table_sf_alloc`
   */
  async alloc(sfnum: number): Promise<number> {
    return await withMutex(this.#k, this.#lock, async () => {
      const id = this.#take(sfnum);
      const fnId = this.startFnId + id;
      try {
        await this.#firmware.allocSf(fnId);
        try {
          await this.#firmware.setSwFunctionId(fnId, sfnum);
        } catch (error) {
          await this.#firmware.deallocSf(fnId);
          throw error;
        }
      } catch (error) {
        this.#release(id);
        throw error;
      }
      return id;
    });
  }

  /** Give a function back that no driver has. */
  async free(id: number): Promise<void> {
    await withMutex(this.#k, this.#lock, async () => {
      await this.#dealloc(id);
    });
  }

  /** Give a function back now, or when its driver has let it go. @see `mlx5_sf_hw_table_sf_deferred_free` */
  async deferredFree(id: number): Promise<void> {
    await withMutex(this.#k, this.#lock, async () => {
      if ((await this.#firmware.queryVhcaState(this.startFnId + id))?.state === MLX5_VHCA_STATE_ALLOCATED) await this.#dealloc(id);
      else this.#sfs.get(id)!.pendingDelete = true; // it is taken: its port was there until now
    });
  }

  /** @see `mlx5_sf_hw_vhca_event` */
  async vhcaEvent({ functionId, newVhcaState }: VhcaStateEvent): Promise<void> {
    if (newVhcaState !== MLX5_VHCA_STATE_ALLOCATED) return;
    await withMutex(this.#k, this.#lock, async () => {
      const id = functionId - this.startFnId;
      if (this.#sfs.get(id)?.pendingDelete === true) await this.#dealloc(id);
    });
  }

  /** Give back all whose event was missed. */
  async deallocAll(): Promise<void> {
    for (const id of [...this.#sfs.keys()]) await this.#dealloc(id);
  }

  #take(sfnum: number): number {
    if (this.#sfnums.has(sfnum)) {
      throw refusal('EEXIST', 'mlx5.sf.sfnum-taken', `sfnum ${sfnum} is taken`, 'SF already exist. Choose different sfnum');
    }
    if (this.#sfs.size === this.#max) throw new KernelError('ENOSPC', 'mlx5.sf.table-full', `all ${this.#max} subfunctions are taken`);
    const id = this.#k.ida_alloc_max(this.#ids, this.#max - 1);
    this.#sfs.set(id, { sfnum, pendingDelete: false });
    this.#sfnums.add(sfnum);
    return id;
  }

  async #dealloc(id: number): Promise<void> {
    await this.#firmware.deallocSf(this.startFnId + id);
    this.#release(id);
  }

  #release(id: number): void {
    this.#sfnums.delete(this.#sfs.get(id)!.sfnum); // it is taken
    this.#sfs.delete(id);
    this.#k.ida_free(this.#ids, id);
  }
}
