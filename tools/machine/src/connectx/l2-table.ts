/** Addresses that the device takes from the wire: MPFS, the switch in front of its functions. */
import { Refusal } from './refusal.ts';

/** log2 of the addresses: two for each subfunction, and 128 at least. */
export function logMaxL2Table(subfunctions: number): number {
  return Math.max(7, Math.ceil(Math.log2(2 * subfunctions)));
}

/** By index, as the driver says. */
export class L2Table {
  private readonly limit: number;
  private readonly byIndex = new Map<number, string>();
  private readonly addresses = new Map<string, number>();

  /** @param subfunctions there can be */
  constructor(subfunctions: number) {
    this.limit = 1 << logMaxL2Table(subfunctions);
  }

  get size(): number {
    return this.byIndex.size;
  }

  /** @throws Refusal IX_ERR beyond the table's end */
  set(index: number, mac: Uint8Array): undefined {
    if (index >= this.limit) throw new Refusal('l2.index');
    this.forget(index);
    const key = keyOf(mac, 0);
    this.byIndex.set(index, key);
    this.addresses.set(key, (this.addresses.get(key) ?? 0) + 1);
  }

  /** @throws Refusal IX_ERR when nothing is there */
  delete(index: number): undefined {
    if (!this.byIndex.has(index)) throw new Refusal('l2.index');
    this.forget(index);
  }

  clear(): undefined {
    this.byIndex.clear();
    this.addresses.clear();
  }

  /** Whether a frame's destination is among them. @param at where the frame begins */
  has(u8: Uint8Array, at: number): boolean {
    return this.addresses.has(keyOf(u8, at));
  }

  private forget(index: number): undefined {
    const key = this.byIndex.get(index);
    if (key === undefined) return;
    this.byIndex.delete(index);
    const left = this.addresses.get(key)! - 1; // every entry is counted there
    if (left === 0) this.addresses.delete(key);
    else this.addresses.set(key, left);
  }
}

function keyOf(u8: Uint8Array, at: number): string {
  return String.fromCharCode(...u8.subarray(at, at + 6));
}
