/** A lab that talks to real programs: its clock follows theirs, the host's event loop has its turns, and their memory is looked at. */
import type { AtomicWork } from '@vdpalab/abi';
import type { Pacer } from './pacer.ts';
import { Watches } from './watches.ts';
import type { Watched } from './watches.ts';

/** Steps between two turns of the host's event loop. */
const BREATH = 256;
/** Nanoseconds between two such turns at most, or a device with traffic would keep everybody outside waiting. */
const BREATH_NS = 2_000_000;
/** Looks at what is watched between two turns of the host's event loop, when there is nothing else to do: some microseconds' worth. */
const SPIN_ROUNDS = 32;
/** Looks between two at the clock. */
const SPIN_LOOKS = 16;

/** The scheduler's clock, and its count of steps. */
export interface SteppedClock {
  now: number;
  readonly steps: number;
}

/** Real time for one scheduler. */
export class RealTime {
  private readonly pacer: Pacer;
  private readonly clock: SteppedClock;
  private readonly watches: Watches;
  /** When the host's event loop turned last: in the pacer's nanoseconds, and in steps. */
  private breathed = 0;
  private breathedStep = 0;

  constructor(pacer: Pacer, clock: SteppedClock, raise: (work: AtomicWork) => undefined) {
    this.pacer = pacer;
    this.clock = clock;
    this.watches = new Watches(raise);
  }

  /** Whether something is watched. */
  get watching(): boolean {
    return this.watches.any;
  }

  watch(watched: Watched, ns: number): undefined {
    this.watches.add(watched, this.clock.now + ns);
  }

  /** Call `wake` at a time of the clock. @returns disarms */
  at(time: number, wake: () => void): () => void {
    return this.pacer.after(time - this.clock.now, wake);
  }

  /** Take the clock along, and look at what is watched. @returns a promise when the host's event loop is to turn */
  follow(): Promise<void> | undefined {
    const elapsed = this.pacer.elapsed();
    this.forward(elapsed);
    this.watches.look(this.clock.now);
    return this.clock.steps - this.breathedStep >= BREATH || elapsed - this.breathed >= BREATH_NS ? this.breathe() : undefined;
  }

  /** Only what is watched can bring something: look at it, and let the host's event loop turn. */
  spin(): Promise<true> | true {
    const { clock, watches } = this;
    for (let round = 0; round < SPIN_ROUNDS; round++) {
      this.forward(this.pacer.elapsed());
      for (let n = 0; n < SPIN_LOOKS; n++) if (watches.look(clock.now)) return true;
    }
    return this.breathe().then(() => true);
  }

  /** Let the host's event loop turn once. */
  breathe(): Promise<void> {
    return new Promise((resume) => {
      setImmediate(() => {
        this.breathed = this.pacer.elapsed();
        this.breathedStep = this.clock.steps;
        this.forward(this.breathed);
        resume();
      });
    });
  }

  private forward(elapsed: number): undefined {
    if (elapsed > this.clock.now) this.clock.now = elapsed;
  }
}
