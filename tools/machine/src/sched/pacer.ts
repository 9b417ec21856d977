/** Ties the virtual clock to real time, for labs that talk to real programs. */

/** Real time, as the scheduler uses it. */
export interface Pacer {
  /** Real nanoseconds since some start. */
  readonly elapsed: () => number;
  /** Call `wake` after `ns`. @returns disarms */
  readonly after: (ns: number, wake: () => void) => () => void;
}

/** The host's clock. */
export function hostPacer(): Pacer {
  const start = performance.now();
  return {
    elapsed: () => (performance.now() - start) * 1e6,
    after: (ns, wake) => {
      const timer = setTimeout(wake, Math.min(Math.ceil(ns / 1e6), 0x7fff_ffff));
      return () => clearTimeout(timer);
    },
  };
}
