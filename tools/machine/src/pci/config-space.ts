/** The configuration space of one function: real bytes, written through masks. */
import type { ConfigLayout } from './config-image.ts';

/** Hears of a write, after the bytes have changed. */
export type ConfigHook = () => undefined;

interface Watch {
  readonly from: number;
  readonly to: number;
  readonly run: ConfigHook;
}

/** Bytes that configuration cycles read and write. */
export class ConfigSpace {
  readonly bytes: Uint8Array;
  private readonly layout: ConfigLayout;
  private readonly watches: Watch[] = [];

  constructor(layout: ConfigLayout) {
    this.layout = layout;
    this.bytes = layout.bytes.slice();
  }

  /** A configuration read. All ones beyond the space's size. */
  read(where: number, size: 1 | 2 | 4): number {
    if (where + size > this.layout.size) return size === 4 ? 0xffff_ffff : (1 << (8 * size)) - 1;
    return this.get(where, size);
  }

  /** A configuration write: only writable bits change; then whoever watches these bytes hears of it. */
  write(where: number, size: 1 | 2 | 4, value: number): undefined {
    const { bytes } = this;
    const { writable, clears } = this.layout;
    for (let i = 0; i < size && where + i < bytes.length; i++) {
      const at = where + i;
      const byte = (value >>> (8 * i)) & 0xff;
      bytes[at] = ((bytes[at]! & ~writable[at]!) | (byte & writable[at]!)) & ~(byte & clears[at]!);
    }
    for (const watch of this.watches) {
      if (where < watch.to && watch.from < where + size) watch.run();
    }
  }

  /** The device's own read. */
  get(where: number, size: 1 | 2 | 4): number {
    const { bytes } = this;
    let value = 0;
    for (let i = 0; i < size && where + i < bytes.length; i++) value |= bytes[where + i]! << (8 * i);
    return value >>> 0;
  }

  /** The device's own write: no mask, nobody hears of it. */
  set(where: number, size: 1 | 2 | 4, value: number): undefined {
    for (let i = 0; i < size; i++) this.bytes[where + i] = value >>> (8 * i);
  }

  /** Call `run` after each write that touches these bytes. */
  onWrite(from: number, length: number, run: ConfigHook): undefined {
    this.watches.push({ from, to: from + length, run });
  }

  /** All bytes as at power-on. Nobody hears of it. */
  reset(): undefined {
    this.bytes.set(this.layout.bytes);
  }
}
