/** What the lab file decides about a network function. */

/** Settings of one network function. */
export interface NetSettings {
  /** 1 to 8. */
  readonly queuePairs: number;
  /** Largest queue, in descriptors. */
  readonly queueSize: number;
  /** Largest MTU, in bytes. */
  readonly mtu: number;
  /** Six bytes. */
  readonly mac: Uint8Array;
  /** Take frames for any address: captures replayed into the network then arrive. */
  readonly promisc: boolean;
}

/** Read `52:54:00:00:00:0a`. */
export function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16));
}

/** A MAC address and `n` more: addresses of virtual functions count on from the physical function's. */
export function macPlus(mac: Uint8Array, n: number): Uint8Array {
  const sum = Uint8Array.from(mac);
  for (let i = 5, carry = n; i >= 0 && carry > 0; i--) {
    carry += sum[i]!;
    sum[i] = carry;
    carry >>>= 8;
  }
  return sum;
}

/** 52:54:BUS:DEVFN:00:00, so that functions of one lab differ. */
export function defaultMac(bus: number, devfn: number): Uint8Array {
  return Uint8Array.of(0x52, 0x54, bus, devfn, 0, 0);
}
