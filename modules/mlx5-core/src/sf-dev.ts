/** Auxiliary devices of subfunctions, which come and go with their states. Mirrors `sf/dev/dev.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import type { AuxiliaryDevice, AuxiliarySymbols } from '@vdpalab/auxiliary';
import type { AttributeGroup, Device } from '@vdpalab/driver-core';
import {
  ERRNO, MLX5_VHCA_STATE_ACTIVE, MLX5_VHCA_STATE_ALLOCATED, MLX5_VHCA_STATE_INVALID, MLX5_VHCA_STATE_TEARDOWN_REQUEST,
} from '@vdpalab/uapi';
import type { CoreDev } from './core-dev.ts';
import { MLX5_ADEV_NAME } from './adev.ts';
import type { VhcaStateEvent } from './vhca-state.ts';

/** `struct mlx5_sf_dev`: what the container of an auxiliary device `mlx5_core.sf.N` is. */
export interface SfDev {
  readonly parent: CoreDev;
  readonly sfnum: number;
  readonly fnId: number;
  /** Where its window begins in {@link SF_BAR}, in bytes. */
  readonly barOffset: number;
  /** Set while a driver has it. */
  mdev: CoreDev | null;
}

/** The BAR with the windows of subfunctions. */
export const SF_BAR = 2;
/** Bytes of a window of size 0. */
const SF_SIZE_SHIFT = 12;

/** `struct mlx5_sf_dev_table` */
export class SfDevTable {
  readonly #dev: CoreDev;
  readonly #auxiliary: Pick<AuxiliarySymbols, 'auxiliary_device_init' | '__auxiliary_device_add' | 'auxiliary_device_delete' | 'auxiliary_device_uninit'>;
  readonly #startFnId: number;
  readonly #max: number;
  readonly #windowSize: number;
  readonly #devices = new Map<number, AuxiliaryDevice>();
  readonly #groups: readonly AttributeGroup<Device>[];

  /** @param logMinSfSize of the device's capabilities: a window has that power of two of 4 KiB */
  constructor(dev: CoreDev, startFnId: number, max: number, logMinSfSize: number) {
    this.#dev = dev;
    this.#auxiliary = dev.k;
    this.#startFnId = startFnId;
    this.#max = max;
    this.#windowSize = 2 ** (logMinSfSize + SF_SIZE_SHIFT);
    this.#groups = [{
      attrs: [{ name: 'sfnum', mode: 0o444, show: async (of) => `${sfDevOf(dev.k.to_auxiliary_dev(of)).sfnum}\n` }],
    }];
  }

  /** Whether there are any. @see `mlx5_sf_dev_allocated` */
  get allocated(): boolean {
    return this.#devices.size > 0;
  }

  /** @see `mlx5_sf_dev_state_change_handler` */
  async stateChange({ functionId, swFunctionId, newVhcaState }: VhcaStateEvent): Promise<void> {
    const index = functionId - this.#startFnId;
    if (index < 0 || index >= this.#max) return;
    const there = this.#devices.has(index);
    switch (newVhcaState) {
      case MLX5_VHCA_STATE_INVALID:
      case MLX5_VHCA_STATE_ALLOCATED:
        if (there) await this.#del(index);
        break;
      case MLX5_VHCA_STATE_TEARDOWN_REQUEST:
        if (there) await this.#del(index);
        else this.#dev.err(`SF DEV: teardown state for invalid dev index=${index} fn_id=0x${swFunctionId.toString(16)}`);
        break;
      case MLX5_VHCA_STATE_ACTIVE:
        if (!there) await this.#add(index, functionId, swFunctionId);
        break;
      default:
        break;
    }
  }

  /** All of them go; events come no more. */
  async destroyAll(): Promise<void> {
    for (const index of [...this.#devices.keys()]) await this.#del(index);
  }

  async #add(index: number, fnId: number, sfnum: number): Promise<void> {
    const { shared } = this.#dev;
    try {
      const id = shared.adevIdxAlloc();
      const container: SfDev = { parent: this.#dev, sfnum, fnId, barOffset: index * this.#windowSize, mdev: null };
      const adev = this.#auxiliary.auxiliary_device_init({
        parent: this.#dev.pdev.dev, name: 'sf', id, container, groups: this.#groups, release: () => shared.adevIdxFree(id),
      });
      try {
        await this.#auxiliary.__auxiliary_device_add(adev, MLX5_ADEV_NAME);
      } catch (error) {
        this.#auxiliary.auxiliary_device_uninit(adev);
        throw error;
      }
      this.#devices.set(index, adev);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      this.#dev.err(`SF DEV: fail device add for index=${index} sfnum=${sfnum} err=${-ERRNO[error.errno]}`);
    }
  }

  async #del(index: number): Promise<void> {
    const adev = this.#devices.get(index)!; // asked before
    this.#devices.delete(index);
    await this.#auxiliary.auxiliary_device_delete(adev);
    this.#auxiliary.auxiliary_device_uninit(adev);
  }
}

/** Of what subfunction an auxiliary device `mlx5_core.sf.N` is. */
export function sfDevOf(adev: AuxiliaryDevice): SfDev {
  return adev.container as SfDev; // SfDevTable made it
}
