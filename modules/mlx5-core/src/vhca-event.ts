/** What the firmware tells of functions' states. Mirrors `sf/vhca_event.c` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import type { SchedSymbols, Workqueue } from '@vdpalab/sched';
import { BlockingNotifier } from './notifier.ts';
import type { VhcaStateEvent } from './vhca-state.ts';

/** The commands it takes. */
export interface VhcaFirmware {
  /** @returns null when the firmware refuses */
  readonly queryVhcaState: (fnId: number) => Promise<{ readonly state: number; readonly swFunctionId: number } | null>;
  /** Have the next change told. */
  readonly armVhcaEvent: (fnId: number) => Promise<void>;
}

type Kernel = Pick<SchedSymbols, 'alloc_workqueue' | 'destroy_workqueue' | 'INIT_WORK' | 'queue_work' | 'init_rwsem' | 'down_read' | 'up_read' | 'down_write' | 'up_write'>;

/** `struct mlx5_vhca_state_notifier`: an event says which function; what has become of it is asked. */
export class VhcaEvents {
  readonly chain: BlockingNotifier<VhcaStateEvent>;
  readonly #k: Kernel;
  readonly #firmware: VhcaFirmware;
  /** Where events are worked off, one after the other. */
  #wq: Workqueue | null = null;

  constructor(k: Kernel, firmware: VhcaFirmware) {
    this.#k = k;
    this.#firmware = firmware;
    this.chain = new BlockingNotifier(k, 'vhca_state_notifier');
  }

  start(): void {
    this.#wq = this.#k.alloc_workqueue('mlx5_events');
  }

  /** Wait for what came; what comes from now on is lost. */
  async stop(): Promise<void> {
    const wq = this.#wq;
    this.#wq = null;
    if (wq !== null) await this.#k.destroy_workqueue(wq);
  }

  /** An event came; atomic. @see `mlx5_vhca_state_change_notifier` */
  onEvent(functionId: number): Atomic {
    if (this.#wq !== null) this.#k.queue_work(this.#wq, this.#k.INIT_WORK('mlx5_vhca_state_work_handler', () => this.#notify(functionId)));
    return undefined;
  }

  async #notify(functionId: number): Promise<void> {
    const now = await this.#firmware.queryVhcaState(functionId);
    if (now === null) return;
    await this.#firmware.armVhcaEvent(functionId);
    await this.chain.call({ functionId, swFunctionId: now.swFunctionId, newVhcaState: now.state });
  }
}
