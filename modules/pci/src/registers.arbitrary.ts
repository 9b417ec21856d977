/** Registers of a function without a machine, for tests. */
import type { ConfigSpace } from './config.ts';

/** Bytes with masks of what can be written. */
export class FakeRegisters implements ConfigSpace {
  readonly bytes = new DataView(new ArrayBuffer(4096));
  private readonly writable = new DataView(new ArrayBuffer(4096));
  /** What was written, oldest first. */
  readonly writes: { where: number; value: number }[] = [];

  /** Set a register's value and which of its bits can be written. */
  put(where: number, size: 1 | 2 | 4, value: number, writable = 0): this {
    store(this.bytes, where, size, value);
    store(this.writable, where, size, writable);
    return this;
  }

  readonly read = (where: number, size: 1 | 2 | 4): number => load(this.bytes, where, size);

  readonly write = (where: number, size: 1 | 2 | 4, value: number): undefined => {
    this.writes.push({ where, value });
    const mask = load(this.writable, where, size);
    store(this.bytes, where, size, (this.read(where, size) & ~mask) | (value & mask));
  };
}

function load(view: DataView, where: number, size: 1 | 2 | 4): number {
  if (size === 1) return view.getUint8(where);
  return size === 2 ? view.getUint16(where, true) : view.getUint32(where, true);
}

function store(view: DataView, where: number, size: 1 | 2 | 4, value: number): void {
  if (size === 1) view.setUint8(where, value);
  else if (size === 2) view.setUint16(where, value, true);
  else view.setUint32(where, value, true);
}
