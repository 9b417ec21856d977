/** Whether the device is alive. Mirrors `health.c` (Linux 6.1). */
import type { CoreDev } from './core-dev.ts';

/** What a register reads as when nothing answers. */
const NOTHING = 0xffff_ffff;

/**
 * The device's health. It is looked at when the device does not answer a command: Linux also looks every other second,
 * which here would keep a machine whose clock jumps from ever coming to rest.
 */
export class Health {
  readonly #dev: CoreDev;
  #counter = 0;

  constructor(dev: CoreDev) {
    this.#dev = dev;
  }

  /** Remember how far the device has counted. @see `mlx5_start_health_poll` */
  start(): void {
    this.#counter = this.#dev.readIseg('health_counter');
  }

  /** If it is gone, or has not counted on since, do not command it any more. @see `poll_health`, `mlx5_enter_error_state` */
  check(): void {
    const counter = this.#dev.readIseg('health_counter');
    const gone = this.#dev.readIseg('fw_rev') === NOTHING;
    const stuck = counter === this.#counter;
    this.#counter = counter;
    if (!gone && !stuck) return;
    this.#dev.err(gone ? 'Fatal error 1 detected' : 'device\'s health compromised - reached miss count');
    this.#dev.internalError = true;
  }
}
