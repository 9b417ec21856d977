/**
 * Devices whose probe asked to be tried again (EPROBE_DEFER): retried whenever another device is bound.
 *
 * Mirrors `deferred_probe_*` in `drivers/base/dd.c` (Linux 6.1).
 */
import type { Work } from '@vdpalab/sched';
import type { Device } from './header.ts';
import type { Kernel } from './kernel.ts';

/** The two lists of Linux: `pending` waits for a trigger, `active` for its turn in the work item. */
export class DeferredProbes {
  readonly #k: Pick<Kernel, 'system_wq' | 'queue_work' | 'cancel_work_sync'>;
  readonly #pending = new Set<Device>();
  readonly #active = new Set<Device>();
  readonly #work: Work;
  #triggers = 0;

  /** @param probe offers the device to the drivers of its bus */
  constructor(k: Pick<Kernel, 'INIT_WORK' | 'system_wq' | 'queue_work' | 'cancel_work_sync'>, probe: (dev: Device) => Promise<void>) {
    this.#k = k;
    this.#work = k.INIT_WORK('deferred_probe', async () => {
      for (const dev of this.#active) {
        this.#active.delete(dev);
        await probe(dev);
      }
    });
  }

  /** Devices that wait, oldest first. */
  get waiting(): readonly Device[] {
    return [...this.#pending, ...this.#active];
  }

  add(dev: Device): undefined {
    if (!this.#active.has(dev)) this.#pending.add(dev);
  }

  del(dev: Device): undefined {
    this.#pending.delete(dev);
    this.#active.delete(dev);
  }

  /** How often a retry was asked for: a probe that defers compares before and after. */
  triggers(): number {
    return this.#triggers;
  }

  /** Retry all that wait. */
  trigger(): undefined {
    this.#triggers++;
    if (this.#pending.size === 0) return;
    for (const dev of this.#pending) this.#active.add(dev);
    this.#pending.clear();
    this.#k.queue_work(this.#k.system_wq, this.#work);
  }

  /** Stop for good. */
  async stop(): Promise<void> {
    await this.#k.cancel_work_sync(this.#work);
  }
}
