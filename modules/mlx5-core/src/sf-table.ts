/** The ports of subfunctions that users make. Mirrors `sf/devlink.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { DevlinkPortNewAttrs } from '@vdpalab/devlink';
import type { Completion, Mutex, SchedSymbols } from '@vdpalab/sched';
import {
  DEVLINK_PORT_FLAVOUR_PCI_SF, DEVLINK_PORT_FN_STATE_ACTIVE, DEVLINK_PORT_FN_STATE_INACTIVE,
  MLX5_VHCA_STATE_ACTIVE, MLX5_VHCA_STATE_ALLOCATED, MLX5_VHCA_STATE_TEARDOWN_REQUEST,
} from '@vdpalab/uapi';
import { withMutex } from './lock.ts';
import { refusal } from './refuse.ts';
import type { SfHwTable } from './sf-hw-table.ts';
import { followsEvent, toDevlinkOpstate, toDevlinkState } from './vhca-state.ts';
import type { VhcaStateEvent } from './vhca-state.ts';

/** What the table asks of the device and its switch, by function id. */
export interface SfManager {
  /** Put the function's port on the switch and register it with devlink. @returns its index */
  readonly enableVport: (fnId: number, sfnum: number) => Promise<number>;
  readonly disableVport: (fnId: number) => Promise<void>;
  readonly enableHca: (fnId: number) => Promise<void>;
  readonly disableHca: (fnId: number) => Promise<void>;
  /** The same, whatever comes of it. */
  readonly abandonHca: (fnId: number) => Promise<void>;
}

type Kernel = Pick<SchedSymbols, 'mutex_init' | 'mutex_lock' | 'mutex_unlock' | 'init_completion' | 'complete' | 'wait_for_completion'>;

/** `struct mlx5_sf` */
interface Sf {
  readonly portIndex: number;
  /** In the table of the hardware. */
  readonly id: number;
  readonly fnId: number;
  /** MLX5_VHCA_STATE_*, as far as known. */
  hwState: number;
}

/** `struct mlx5_sf_table`; usable between enable and disable only: in switchdev mode. */
export class SfTable {
  readonly #k: Kernel;
  readonly #hw: SfHwTable;
  readonly #manager: SfManager;
  readonly #byPort = new Map<number, Sf>();
  readonly #byFn = new Map<number, Sf>();
  /** Serializes states between commands and events. */
  readonly #stateLock: Mutex;
  /** 1 while enabled, and one for each command or event that runs. */
  #refs = 0;
  #disabled: Completion;

  constructor(k: Kernel, hw: SfHwTable, manager: SfManager) {
    this.#k = k;
    this.#hw = hw;
    this.#manager = manager;
    this.#stateLock = k.mutex_init('mlx5_sf_table');
    this.#disabled = k.init_completion('mlx5_sf_table');
  }

  /** Ports there are. */
  get size(): number {
    return this.#byPort.size;
  }

  enable(): void {
    this.#disabled = this.#k.init_completion('mlx5_sf_table');
    this.#refs = 1;
  }

  /** No command from now on; wait for those that run; all ports go. @see `mlx5_sf_table_disable` */
  async disable(): Promise<void> {
    if (this.#refs === 0) return;
    this.#put();
    await this.#k.wait_for_completion(this.#disabled, undefined, 'mlx5_sf_table_disable');
    for (const sf of [...this.#byPort.values()]) await this.#remove(sf);
  }

  /**
   * @returns the port's index
   * @throws EEXIST ENOSPC as {@link SfHwTable.alloc}; EOPNOTSUPP unless enabled
   */
  async add(sfnum: number): Promise<number> {
    return await this.#with('Port add is only supported in eswitch switchdev mode or SF ports are disabled.', async () => {
      const id = await this.#hw.alloc(sfnum);
      const fnId = this.#hw.startFnId + id;
      try {
        const portIndex = await this.#manager.enableVport(fnId, sfnum);
        const sf: Sf = { portIndex, id, fnId, hwState: MLX5_VHCA_STATE_ALLOCATED };
        this.#byPort.set(portIndex, sf);
        this.#byFn.set(fnId, sf);
        return portIndex;
      } catch (error) {
        await this.#hw.free(id);
        throw error;
      }
    });
  }

  /** @throws ENODEV for a port that is no subfunction's; EOPNOTSUPP unless enabled */
  async del(portIndex: number): Promise<void> {
    await this.#with('Port del is only supported in eswitch switchdev mode or SF ports are disabled.', async () => {
      await this.#remove(this.#find(portIndex, 'ENODEV'));
    });
  }

  /** @throws EOPNOTSUPP for a port that is no subfunction's, and unless enabled */
  async stateGet(portIndex: number): Promise<{ state: number; opstate: number }> {
    return await this.#with(null, async () => {
      const sf = this.#find(portIndex, 'EOPNOTSUPP');
      return await withMutex(this.#k, this.#stateLock, async () => ({ state: toDevlinkState(sf.hwState), opstate: toDevlinkOpstate(sf.hwState) }));
    });
  }

  /**
   * @param state DEVLINK_PORT_FN_STATE_*
   * @throws EBUSY to activate one whose driver has not let it go; EINVAL; ENODEV for a port that is no subfunction's; EOPNOTSUPP unless enabled
   */
  async stateSet(portIndex: number, state: number): Promise<void> {
    await this.#with('Port state set is only supported in eswitch switchdev mode or SF ports are disabled.', async () => {
      const sf = this.#find(portIndex, 'ENODEV');
      await withMutex(this.#k, this.#stateLock, async () => {
        if (state === toDevlinkState(sf.hwState)) return;
        if (state === DEVLINK_PORT_FN_STATE_ACTIVE) await this.#activate(sf);
        else if (state === DEVLINK_PORT_FN_STATE_INACTIVE) await this.#deactivate(sf);
        else throw new KernelError('EINVAL', 'mlx5.sf.state', `port ${portIndex}: state ${state} of 0 and 1`);
      });
    });
  }

  /** @see `mlx5_sf_vhca_event` */
  async vhcaEvent({ functionId, newVhcaState }: VhcaStateEvent): Promise<void> {
    if (this.#refs === 0) return;
    this.#refs++;
    try {
      await withMutex(this.#k, this.#stateLock, async () => {
        const sf = this.#byFn.get(functionId);
        if (sf !== undefined && followsEvent(sf.hwState, newVhcaState)) sf.hwState = newVhcaState;
      });
    } finally {
      this.#put();
    }
  }

  async #activate(sf: Sf): Promise<void> {
    if (sf.hwState !== MLX5_VHCA_STATE_ALLOCATED) {
      throw refusal('EBUSY', 'mlx5.sf.attached', `function ${sf.fnId} is in state ${sf.hwState} of ${MLX5_VHCA_STATE_ALLOCATED}`, 'SF is inactivated but it is still attached');
    }
    await this.#manager.enableHca(sf.fnId);
    sf.hwState = MLX5_VHCA_STATE_ACTIVE;
  }

  async #deactivate(sf: Sf): Promise<void> {
    await this.#manager.disableHca(sf.fnId);
    sf.hwState = MLX5_VHCA_STATE_TEARDOWN_REQUEST;
  }

  /** Its port goes at once; the function when its driver has let it go. @see `mlx5_sf_dealloc` */
  async #remove(sf: Sf): Promise<void> {
    await this.#manager.disableVport(sf.fnId);
    this.#byPort.delete(sf.portIndex);
    await withMutex(this.#k, this.#stateLock, async () => {
      this.#byFn.delete(sf.fnId);
      if (sf.hwState === MLX5_VHCA_STATE_ALLOCATED) return await this.#hw.free(sf.id);
      // Even an active one counts as driven: only the firmware's event tells that its driver is gone.
      if (toDevlinkState(sf.hwState) === DEVLINK_PORT_FN_STATE_ACTIVE) await this.#manager.abandonHca(sf.fnId);
      await this.#hw.deferredFree(sf.id);
    });
  }

  #find(portIndex: number, errno: 'ENODEV' | 'EOPNOTSUPP'): Sf {
    const sf = this.#byPort.get(portIndex);
    if (sf === undefined) throw new KernelError(errno, 'mlx5.sf.port', `port ${portIndex} is no subfunction's`);
    return sf;
  }

  async #with<T>(message: string | null, body: () => Promise<T>): Promise<T> {
    if (this.#refs === 0) throw notSwitchdev(message);
    this.#refs++;
    try {
      return await body();
    } finally {
      this.#put();
    }
  }

  #put(): void {
    if (--this.#refs === 0) this.#k.complete(this.#disabled);
  }
}

function notSwitchdev(message: string | null): KernelError {
  const text = 'subfunctions have ports in switchdev mode only';
  return message === null ? new KernelError('EOPNOTSUPP', 'mlx5.sf.switchdev', text) : refusal('EOPNOTSUPP', 'mlx5.sf.switchdev', text, message);
}

/** Check what a user asks of a new port, in Linux's order. @throws EOPNOTSUPP @see `mlx5_sf_new_check_attr` */
export function checkNewAttrs(attrs: DevlinkPortNewAttrs, pfnum: number): void {
  const refuse = (rule: string, text: string, message: string): never => {
    throw refusal('EOPNOTSUPP', rule, text, message);
  };
  if (attrs.flavour !== DEVLINK_PORT_FLAVOUR_PCI_SF) refuse('mlx5.sf.new.flavour', `flavour ${attrs.flavour} of ${DEVLINK_PORT_FLAVOUR_PCI_SF}`, 'Driver supports only SF port addition');
  if (attrs.port_index !== null) refuse('mlx5.sf.new.port-index', `port index ${attrs.port_index}`, 'Driver does not support user defined port index assignment');
  if (attrs.sfnum === null) refuse('mlx5.sf.new.sfnum', 'no sfnum', 'User must provide unique sfnum. Driver does not support auto assignment');
  if (attrs.controller !== null && attrs.controller !== 0) refuse('mlx5.sf.new.controller', `controller ${attrs.controller} of 0`, 'External controller is unsupported');
  if (attrs.pfnum !== pfnum) refuse('mlx5.sf.new.pfnum', `pfnum ${attrs.pfnum} of ${pfnum}`, 'Invalid pfnum supplied');
}

/** `port_new` of a device whose table may be absent. @see `mlx5_devlink_sf_port_new` */
export async function portNew(table: SfTable | null, attrs: DevlinkPortNewAttrs, pfnum: number): Promise<number> {
  checkNewAttrs(attrs, pfnum);
  if (table === null) throw notSwitchdev('Port add is only supported in eswitch switchdev mode or SF ports are disabled.');
  return await table.add(attrs.sfnum!); // checked
}
