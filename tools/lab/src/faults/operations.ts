/**
 * The operations that modules hand to others in ops tables: they are counted when called, and tell while they run what
 * else is asked for meanwhile.
 */
import type { Task } from '@vdpalab/abi';

type Func = (this: unknown, ...args: unknown[]) => unknown;

/** An operation that runs. */
export interface OpenOperation {
  readonly module: string;
  readonly op: string;
}

/** Depth of tables in tables that is looked at: a registration's argument, and the ops in it. */
const DEPTH = 2;

/** One lab's ops tables. */
export class OperationTable {
  readonly #current: () => Task | null;
  readonly #called: (module: string, op: string) => undefined;
  readonly #known = new WeakSet<object>();
  readonly #running = new WeakMap<object, OpenOperation[]>();
  /** Of interrupts and device work, which are no task's. */
  readonly #atomic: OpenOperation[] = [];
  readonly #restore: (() => void)[] = [];

  /** @param called may throw, which is the operation's failure then */
  constructor(current: () => Task | null, called: (module: string, op: string) => undefined) {
    this.#current = current;
    this.#called = called;
  }

  /** Operations that the running task is in, outermost first. */
  open(): readonly OpenOperation[] {
    return this.#stack();
  }

  /** Watch the operations of a table that a module hands out; the first to hand it out is its owner. */
  adopt(module: string, value: unknown, depth = DEPTH): void {
    if (!isTable(value) || this.#known.has(value)) return;
    this.#known.add(value);
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(value))) {
      if (typeof property.value === 'function') this.#watch(module, value, name, property);
      else if (depth > 1) this.adopt(module, property.value, depth - 1);
    }
  }

  /** Put the operations back as they were: a table may be a constant that another lab sees too. */
  close(): void {
    for (const restore of this.#restore.splice(0).toReversed()) restore();
  }

  #watch(module: string, table: Record<string, unknown>, op: string, property: PropertyDescriptor): void {
    if (property.writable !== true || property.configurable !== true) return;
    const original = property.value as Func;
    const run = (self: unknown, args: unknown[]): unknown => this.#run({ module, op }, original, self, args);
    const watched = function watched(this: unknown, ...args: unknown[]): unknown {
      return run(this, args);
    };
    table[op] = watched;
    this.#restore.push(() => {
      if (table[op] === watched) table[op] = original;
    });
  }

  #run(open: OpenOperation, original: Func, self: unknown, args: unknown[]): unknown {
    this.#called(open.module, open.op);
    const stack = this.#stack();
    stack.push(open);
    const leave = (): void => void stack.splice(stack.lastIndexOf(open), 1);
    let result: unknown;
    try {
      result = original.apply(self, args);
    } catch (error) {
      leave();
      throw error;
    }
    if (!(result instanceof Promise)) {
      leave();
      return result;
    }
    return result.finally(leave);
  }

  #stack(): OpenOperation[] {
    const task = this.#current();
    if (task === null) return this.#atomic;
    const stack = this.#running.get(task) ?? [];
    this.#running.set(task, stack);
    return stack;
  }
}

/** Whether a value is a table of operations and settings, and not a thing with a life of its own, as a device is. */
function isTable(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  if (Object.getPrototypeOf(value) !== Object.prototype) return false;
  return !('sd' in value) && !('lock' in value) && !('refcnt' in value);
}
