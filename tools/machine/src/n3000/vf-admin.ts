/**
 * Settings of virtual functions, in the physical function's registers.
 *
 * The real card has a management protocol of its own for this; here it is four 32-bit registers: which virtual function (0x0), bytes 0 to 3
 * of its address (0x4), bytes 4 and 5 (0x8), and its VLAN tag (0xc; 802.1Q's 16 bits, 0 for none). Writing bytes 4 and 5 makes the address count.
 */

/** Bytes of the registers. */
export const VF_ADMIN_SIZE = 16;
const [SELECT, MAC_LOW, MAC_HIGH, VLAN] = [0, 4, 8, 12] as const;

/** What the registers work on. */
export interface VfSettings {
  /** Six bytes; `null` when there is no such function. */
  readonly mac: (vf: number) => Uint8Array | null;
  readonly setMac: (vf: number, mac: Uint8Array) => undefined;
  /** 16 bits; 0 when there is no such function. */
  readonly tci: (vf: number) => number;
  readonly setTci: (vf: number, tci: number) => undefined;
}

/** The registers. Only whole words are taken. */
export class VfAdmin {
  private readonly settings: VfSettings;
  private select = 0;
  private low = 0;

  constructor(settings: VfSettings) {
    this.settings = settings;
  }

  read(offset: number): number {
    if (offset === SELECT) return this.select;
    if (offset === VLAN) return this.settings.tci(this.select);
    const mac = this.settings.mac(this.select);
    if (mac === null) return 0;
    const view = new DataView(mac.buffer, mac.byteOffset);
    if (offset === MAC_LOW) return view.getUint32(0, true);
    return offset === MAC_HIGH ? view.getUint16(4, true) : 0;
  }

  write(offset: number, size: 1 | 2 | 4, value: number): undefined {
    if (size !== 4) return;
    if (offset === SELECT) this.select = value;
    else if (offset === MAC_LOW) this.low = value;
    else if (offset === VLAN) this.settings.setTci(this.select, value & 0xffff);
    else if (offset === MAC_HIGH) {
      const mac = new Uint8Array(6);
      const view = new DataView(mac.buffer);
      view.setUint32(0, this.low, true);
      view.setUint16(4, value & 0xffff, true);
      this.settings.setMac(this.select, mac);
    }
  }
}
