/** Runs a machine on a paced clock whenever something enters from outside, for as long as the lab lives. */
import type { Atomic, Task } from '@vdpalab/abi';
import type { HwMachine } from '@vdpalab/machine';

type Scheduler = HwMachine['sched'];

/** Drives the scheduler; several calls may be under way at a time. */
export class LiveDriver {
  readonly #sched: Scheduler;
  #running = false;
  #stopped = false;
  /** What atomic work threw: the lab cannot go on. */
  #crash: Error | null = null;
  /** Tells the calls under way of a crash. */
  readonly #underWay = new Set<(error: Error) => void>();

  constructor(sched: Scheduler) {
    this.#sched = sched;
    sched.onArrival = (): Atomic => this.#wake();
  }

  /**
   * Run `body` as a task. Returns when the body is done, however busy others are; a body that waits for ever is waited for.
   *
   * @throws what the body throws; Error when the lab has crashed, or was stopped
   */
  inTask<T>(name: string, body: (task: Task) => Promise<T>): Promise<T> {
    if (this.#crash !== null) return Promise.reject(this.#crash);
    if (this.#stopped) return Promise.reject(new Error(`${name}: the lab is closed`));
    return new Promise<T>((resolve, reject) => {
      this.#underWay.add(reject);
      this.#sched.post(`call ${name}`, (): Atomic => {
        const task: Task = this.#sched.spawn(name, async () => {
          try {
            resolve(await body(task));
          } catch (error) {
            reject(error as Error);
          } finally {
            this.#underWay.delete(reject);
          }
        });
      });
    });
  }

  /** Nothing runs any more. */
  stop(): void {
    this.#stopped = true;
    this.#sched.onArrival = null;
    this.#fail(new Error('the lab was closed'));
  }

  #wake(): Atomic {
    this.#drive().catch((error: unknown) => this.#fail(error as Error)); // it catches what the lab throws
  }

  async #drive(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      while (!this.#stopped && (await this.#sched.run()).kind === 'limit');
    } catch (error) {
      this.#crash = new Error(`the lab crashed: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
      this.#sched.onArrival = null;
      this.#fail(this.#crash);
    }
    this.#running = false;
    // What arrived after the scheduler had come to rest and before this line found the driver busy.
    if (this.#crash === null && !this.#stopped && this.#sched.hasArrivals) this.#wake();
  }

  #fail(error: Error): void {
    for (const reject of this.#underWay) reject(error);
    this.#underWay.clear();
  }
}
