/** Messages as bytes: a header of three words, little-endian, and a payload. */

/** Bytes of a header: request, flags, payload size. */
export const HEADER_SIZE = 12;
/** Flags: the version, in the lowest two bits. */
export const VHOST_USER_VERSION_MASK = 0x3;
export const VHOST_USER_VERSION = 0x1;
/** Flags: this is an answer. */
export const VHOST_USER_REPLY_MASK = 1 << 2;
/** Flags: say whether it worked. */
export const VHOST_USER_NEED_REPLY_MASK = 1 << 3;

/** `u64` payloads of KICK, CALL and ERR: the queue, and whether there is no descriptor. */
export const VHOST_USER_VRING_IDX_MASK = 0xff;
export const VHOST_USER_VRING_NOFD_MASK = 0x100;

/** A header. */
export interface Header {
  readonly request: number;
  readonly flags: number;
  /** Payload bytes. */
  readonly size: number;
}

/** One message. Whoever takes it owns its descriptors. */
export interface Message {
  readonly request: number;
  readonly flags: number;
  readonly payload: Uint8Array;
  readonly fds: readonly number[];
}

/** A region of SET_MEM_TABLE. */
export interface MemoryRegionEntry {
  readonly guestPhysAddr: bigint;
  /** Bytes. */
  readonly memorySize: bigint;
  /** Where the front-end sees it. */
  readonly userspaceAddr: bigint;
  /** Bytes from the file's start. */
  readonly mmapOffset: bigint;
}

/** `struct vhost_vring_state` */
export interface VringState {
  readonly index: number;
  readonly num: number;
}

/** `struct vhost_vring_addr`: addresses are the front-end's own. */
export interface VringAddr {
  readonly index: number;
  readonly flags: number;
  readonly desc: bigint;
  readonly used: bigint;
  readonly avail: bigint;
  /** Guest physical address of the used ring, for its log. */
  readonly log: bigint;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function decodeHeader(bytes: Uint8Array): Header {
  const v = view(bytes);
  return { request: v.getUint32(0, true), flags: v.getUint32(4, true), size: v.getUint32(8, true) };
}

/** A whole message. */
export function encodeMessage(request: number, flags: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE + payload.length);
  const v = view(bytes);
  v.setUint32(0, request, true);
  v.setUint32(4, flags | VHOST_USER_VERSION, true);
  v.setUint32(8, payload.length, true);
  bytes.set(payload, HEADER_SIZE);
  return bytes;
}

export function decodeU64(payload: Uint8Array): bigint {
  return view(payload).getBigUint64(0, true);
}

export function encodeU64(value: bigint | number): Uint8Array {
  const bytes = new Uint8Array(8);
  view(bytes).setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
  return bytes;
}

export function decodeState(payload: Uint8Array): VringState {
  const v = view(payload);
  return { index: v.getUint32(0, true), num: v.getUint32(4, true) };
}

export function encodeState(state: VringState): Uint8Array {
  const bytes = new Uint8Array(8);
  view(bytes).setUint32(0, state.index, true);
  view(bytes).setUint32(4, state.num, true);
  return bytes;
}

export function decodeVringAddr(payload: Uint8Array): VringAddr {
  const v = view(payload);
  return {
    index: v.getUint32(0, true), flags: v.getUint32(4, true),
    desc: v.getBigUint64(8, true), used: v.getBigUint64(16, true), avail: v.getBigUint64(24, true), log: v.getBigUint64(32, true),
  };
}

export function encodeVringAddr(addr: VringAddr): Uint8Array {
  const bytes = new Uint8Array(40);
  const v = view(bytes);
  v.setUint32(0, addr.index, true);
  v.setUint32(4, addr.flags, true);
  [addr.desc, addr.used, addr.avail, addr.log].forEach((a, i) => v.setBigUint64(8 + 8 * i, a, true));
  return bytes;
}

/** @param at bytes from the payload's start */
export function decodeRegion(payload: Uint8Array, at: number): MemoryRegionEntry {
  const v = view(payload);
  return {
    guestPhysAddr: v.getBigUint64(at, true), memorySize: v.getBigUint64(at + 8, true),
    userspaceAddr: v.getBigUint64(at + 16, true), mmapOffset: v.getBigUint64(at + 24, true),
  };
}

/** A list of regions, as SET_MEM_TABLE has it. */
export function encodeMemTable(regions: readonly MemoryRegionEntry[]): Uint8Array {
  const bytes = new Uint8Array(8 + 32 * regions.length);
  const v = view(bytes);
  v.setUint32(0, regions.length, true);
  regions.forEach((r, i) => {
    [r.guestPhysAddr, r.memorySize, r.userspaceAddr, r.mmapOffset].forEach((a, j) => v.setBigUint64(8 + 32 * i + 8 * j, a, true));
  });
  return bytes;
}

/** How many regions a SET_MEM_TABLE says it has. */
export function memTableCount(payload: Uint8Array): number {
  return view(payload).getUint32(0, true);
}

/** One region, as ADD_MEM_REG and REM_MEM_REG have it: 8 unused bytes in front. */
export function encodeMemReg(region: MemoryRegionEntry): Uint8Array {
  const bytes = encodeMemTable([region]);
  view(bytes).setUint32(0, 0, true);
  return bytes;
}

/** `VhostUserLog`: the part of a file that is the log, in bytes. */
export function decodeLog(payload: Uint8Array): { readonly size: bigint; readonly offset: bigint } {
  const v = view(payload);
  return { size: v.getBigUint64(0, true), offset: v.getBigUint64(8, true) };
}

/** The other way round. */
export function encodeLog({ size, offset }: { readonly size: bigint; readonly offset: bigint }): Uint8Array {
  const bytes = new Uint8Array(16);
  const v = view(bytes);
  v.setBigUint64(0, size, true);
  v.setBigUint64(8, offset, true);
  return bytes;
}
