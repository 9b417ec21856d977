/** A proxy of an ops table that writes down every call between a bus driver and a parent. */

/** One call: the operation, and what it was given after the device. */
export interface OpCall {
  readonly op: string;
  readonly args: readonly unknown[];
}

type Op = (...args: readonly unknown[]) => unknown;

/** Calls of all devices of one kernel, oldest first. */
export class OpLog {
  readonly calls: OpCall[] = [];

  /** What the calls of one operation were given. */
  of(op: string): (readonly unknown[])[] {
    return this.calls.filter((call) => call.op === op).map(({ args }) => args);
  }

  /** Names in order, and forget. */
  take(): string[] {
    return this.calls.splice(0).map(({ op }) => op);
  }

  clear(): undefined {
    this.calls.length = 0;
  }

  /** A table with the same operations, absent ones absent, each of which is written down. */
  proxy<T extends object>(ops: T): T {
    const entries = Object.entries(ops).filter(([, op]) => typeof op === 'function') as [string, Op][];
    return Object.fromEntries(entries.map(([op, call]) => [op, (vdev: unknown, ...args: unknown[]) => {
      this.calls.push({ op, args });
      return call.call(ops, vdev, ...args);
    }])) as T; // every operation stands for itself
  }
}
