/** MAC addresses and the ports behind them: open addressing in typed arrays. */

/** Slots; addresses are at most half as many. */
const SLOTS = 8192;
const MASK = SLOTS - 1;
/** Addresses remembered. */
export const MAC_TABLE_MAX = SLOTS / 2;
const EMPTY = -1;

/** A switch's forwarding table. An address is two numbers: bytes 0 to 3 and bytes 4 to 5, little endian. */
export class MacTable {
  /** Addresses known. */
  size = 0;
  private readonly low = new Int32Array(SLOTS);
  private readonly high = new Int32Array(SLOTS);
  private readonly port = new Int16Array(SLOTS).fill(EMPTY);

  /** @returns the port behind an address, or -1 */
  find(low: number, high: number): number {
    return this.port[this.slot(low | 0, high)]!;
  }

  /** Remember an address. @returns false when the table is full */
  learn(low: number, high: number, port: number): boolean {
    const at = this.slot(low | 0, high);
    if (this.port[at] === EMPTY) {
      if (this.size >= MAC_TABLE_MAX) return false;
      this.low[at] = low;
      this.high[at] = high;
      this.size++;
    }
    this.port[at] = port;
    return true;
  }

  /** Forget every address behind a port. */
  forget(port: number): undefined {
    if (this.size === 0 || !this.port.includes(port)) return;
    const kept: number[] = [];
    for (let i = 0; i < SLOTS; i++) {
      if (this.port[i] !== EMPTY && this.port[i] !== port) kept.push(this.low[i]!, this.high[i]!, this.port[i]!);
    }
    this.port.fill(EMPTY);
    this.size = 0;
    for (let i = 0; i < kept.length; i += 3) this.learn(kept[i]!, kept[i + 1]!, kept[i + 2]!);
  }

  /** All addresses and their ports, as text, in the order of the addresses. */
  entries(): readonly (readonly [mac: string, port: number])[] {
    const list: [string, number][] = [];
    for (let i = 0; i < SLOTS; i++) {
      if (this.port[i] !== EMPTY) list.push([text(this.low[i]!, this.high[i]!), this.port[i]!]);
    }
    return list.sort((a, b) => (a[0] < b[0] ? -1 : 1));
  }

  /** Where an address is, or the empty slot where it would go. */
  private slot(low: number, high: number): number {
    let at = (Math.imul(low ^ Math.imul(high, 0x9e37_79b1), 0x85eb_ca6b) >>> 16) & MASK;
    while (this.port[at] !== EMPTY && (this.low[at] !== low || this.high[at] !== high)) at = (at + 1) & MASK;
    return at;
  }
}

function text(low: number, high: number): string {
  const bytes = [low, low >>> 8, low >>> 16, low >>> 24, high, high >>> 8];
  return bytes.map((b) => (b & 0xff).toString(16).padStart(2, '0')).join(':');
}
