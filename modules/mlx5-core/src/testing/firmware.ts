/** Functions as the firmware keeps them, for tests of the tables above it: states, and what was commanded. */
import { KernelError } from '@vdpalab/abi';
import {
  MLX5_VHCA_STATE_ACTIVE, MLX5_VHCA_STATE_ALLOCATED, MLX5_VHCA_STATE_IN_USE, MLX5_VHCA_STATE_INVALID, MLX5_VHCA_STATE_TEARDOWN_REQUEST,
} from '@vdpalab/uapi';
import type { SfFirmware } from '../sf-hw-table.ts';

/** The firmware's side, with a failure to inject. */
export class Firmware implements SfFirmware {
  readonly states = new Map<number, number>();
  readonly commands: string[] = [];
  /** The next command of that name fails. */
  failing: string | null = null;

  async allocSf(fnId: number): Promise<void> {
    this.#run('alloc', fnId);
    this.states.set(fnId, MLX5_VHCA_STATE_ALLOCATED);
  }

  async deallocSf(fnId: number): Promise<void> {
    this.#run('dealloc', fnId);
    this.states.delete(fnId);
  }

  async setSwFunctionId(fnId: number, sfnum: number): Promise<void> {
    this.#run(`sfnum ${sfnum}`, fnId);
  }

  async queryVhcaState(fnId: number): Promise<{ state: number }> {
    return { state: this.states.get(fnId) ?? MLX5_VHCA_STATE_INVALID };
  }

  async enableHca(fnId: number): Promise<void> {
    this.#run('enable', fnId);
    this.states.set(fnId, MLX5_VHCA_STATE_ACTIVE);
  }

  async disableHca(fnId: number): Promise<void> {
    this.#run('disable', fnId);
    this.states.set(fnId, this.states.get(fnId) === MLX5_VHCA_STATE_IN_USE ? MLX5_VHCA_STATE_TEARDOWN_REQUEST : MLX5_VHCA_STATE_ALLOCATED);
  }

  #run(name: string, fnId: number): void {
    this.commands.push(`${name} ${fnId}`);
    if (this.failing !== name.split(' ')[0]) return;
    this.failing = null;
    throw new KernelError('EIO', 'test.firmware', `${name} ${fnId} fails`);
  }
}
