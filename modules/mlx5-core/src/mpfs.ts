/** Addresses whose frames the device takes from the wire. Mirrors `lib/mpfs.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Ida } from '@vdpalab/driver-core';
import type { Mutex } from '@vdpalab/sched';
import {
  MLX5_CMD_OP_DELETE_L2_TABLE_ENTRY, MLX5_CMD_OP_SET_L2_TABLE_ENTRY, mlx5_cmd_out, mlx5_delete_l2_table_entry_in, mlx5_set_l2_table_entry_in,
} from '@vdpalab/uapi';
import type { CoreDev } from './core-dev.ts';
import { withMutex } from './lock.ts';
import { splitMac } from './vport.ts';

/** `struct mlx5_mpfs`: the L2 table of the function that manages the switch; others have none, and their calls do nothing. */
export class Mpfs {
  readonly #dev: CoreDev;
  readonly #lock: Mutex;
  readonly #indices: Ida;
  /** Index by address. */
  readonly #entries = new Map<string, number>();

  constructor(dev: CoreDev) {
    this.#dev = dev;
    this.#lock = dev.k.mutex_init('mlx5_mpfs');
    this.#indices = dev.k.ida_init();
  }

  /** @throws EEXIST; ENOSPC when the table is full; what the firmware answers */
  async add(mac: Uint8Array): Promise<void> {
    const { k, caps, cmd, device } = this.#dev;
    if (!caps.eswitchManager) return;
    await withMutex(k, this.#lock, async () => {
      const key = mac.join(':');
      if (this.#entries.has(key)) throw new KernelError('EEXIST', 'mlx5.mpfs.taken', `${device.name}: ${key} (decimal) is in the L2 table`);
      const index = k.ida_alloc_max(this.#indices, 2 ** caps.gen('log_max_l2_table') - 1);
      try {
        const { high, low } = splitMac(mac);
        const input = mlx5_set_l2_table_entry_in.make({ opcode: MLX5_CMD_OP_SET_L2_TABLE_ENTRY, table_index: index, mac_addr_47_32: high, mac_addr_31_0: low });
        await cmd.exec(input, mlx5_cmd_out.size);
      } catch (error) {
        k.ida_free(this.#indices, index);
        throw error;
      }
      this.#entries.set(key, index);
    });
  }

  /** @throws ENOENT; what the firmware answers */
  async del(mac: Uint8Array): Promise<void> {
    const { k, caps, cmd, device } = this.#dev;
    if (!caps.eswitchManager) return;
    await withMutex(k, this.#lock, async () => {
      const key = mac.join(':');
      const index = this.#entries.get(key);
      if (index === undefined) throw new KernelError('ENOENT', 'mlx5.mpfs.absent', `${device.name}: ${key} (decimal) is not in the L2 table`);
      this.#entries.delete(key);
      k.ida_free(this.#indices, index);
      await cmd.exec(mlx5_delete_l2_table_entry_in.make({ opcode: MLX5_CMD_OP_DELETE_L2_TABLE_ENTRY, table_index: index }), mlx5_cmd_out.size);
    });
  }

  leftovers(): string[] {
    return [...this.#entries.keys()].map((mac) => `L2 address ${mac} (decimal)`);
  }
}
