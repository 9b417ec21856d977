/** What a function has that manages subfunctions: tables of the hardware, of ports, of devices, and the events that move them. */
import { UndoStack, withUndo } from '@vdpalab/abi';
import type { CoreDev } from './core-dev.ts';
import type { Eswitch } from './eswitch.ts';
import { FunctionCommands } from './function-cmd.ts';
import { SfDevTable } from './sf-dev.ts';
import { SfHwTable } from './sf-hw-table.ts';
import { SfTable } from './sf-table.ts';
import { VhcaEvents } from './vhca-event.ts';
import type { VhcaStateEvent } from './vhca-state.ts';

/** Management of the subfunctions of one PCI function. */
export class SfManagement {
  readonly table: SfTable;
  readonly devs: SfDevTable;
  readonly #dev: CoreDev;
  readonly #commands: FunctionCommands;
  readonly #hw: SfHwTable;
  readonly #events: VhcaEvents;
  readonly #base: number;
  readonly #max: number;

  constructor(dev: CoreDev, eswitch: Eswitch) {
    const { k, caps } = dev;
    this.#dev = dev;
    this.#base = caps.gen('sf_base_id');
    this.#max = caps.maxSfs;
    this.#commands = new FunctionCommands(dev);
    this.#events = new VhcaEvents(k, this.#commands);
    this.#hw = new SfHwTable(k, this.#commands, this.#base, this.#max);
    this.table = new SfTable(k, this.#hw, {
      enableVport: (fnId, sfnum) => eswitch.enableVport(fnId, sfnum),
      disableVport: (fnId) => eswitch.disableVport(fnId),
      enableHca: (fnId) => this.#commands.enableHca(fnId),
      disableHca: (fnId) => this.#commands.disableHca(fnId),
      abandonHca: (fnId) => this.#commands.abandonHca(fnId),
    });
    this.devs = new SfDevTable(dev, this.#base, this.#max, caps.gen('log_min_sf_size'));
  }

  /**
   * Have events of the functions come, and be followed.
   *
   * @returns gives it up, in reverse: devices go, then ports, by what is done in between, then functions
   * @see `mlx5_vhca_event_start`, `mlx5_sf_table_init`, `mlx5_sf_hw_table_create`, `mlx5_sf_dev_table_create`
   */
  async start(): Promise<{ readonly tables: UndoStack; readonly devices: UndoStack }> {
    const [tables, devices] = [new UndoStack(), new UndoStack()];
    await withUndo(tables, () => withUndo(devices, async () => {
      this.#events.start();
      tables.push('events', () => this.#events.stop());
      this.#dev.eqs.onVhcaState = (fnId) => this.#events.onEvent(fnId);
      await this.#follow(tables, (event) => this.table.vhcaEvent(event));
      tables.push('functions', () => this.#hw.deallocAll());
      await this.#follow(tables, (event) => this.#hw.vhcaEvent(event));
      devices.push('devices', () => this.devs.destroyAll());
      await this.#follow(devices, (event) => this.devs.stateChange(event));
      for (let n = 0; n < this.#max; n++) await this.#commands.armVhcaEvent(this.#base + n);
    }));
    return { tables, devices };
  }

  /** Functions that are taken, for leak reports. */
  leftovers(): string[] {
    return this.#hw.size > 0 ? [`${this.#hw.size} subfunctions`] : [];
  }

  async #follow(undo: UndoStack, call: (event: VhcaStateEvent) => Promise<void>): Promise<void> {
    await this.#events.chain.register(call);
    undo.push('follower', () => this.#events.chain.unregister(call));
  }
}
