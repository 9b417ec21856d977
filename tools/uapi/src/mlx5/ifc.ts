/**
 * Describes bit layouts of the ConnectX command interface, as `MLX5_GET` and `MLX5_SET` read them: big endian, bit 0 is the
 * highest of the first byte.
 *
 * @see `include/linux/mlx5/device.h` (Linux 6.1)
 */

/** Offset and width of a field, both in bits; a field of 64 bits is a `bigint`. */
export type IfcField = readonly [offset: number, width: number];

/** What a field of this width holds. */
export type IfcValue<F extends IfcField> = F[1] extends 64 ? bigint : number;

/** A layout: where each field lies in bytes given to its methods. */
export class IfcLayout<const F extends Readonly<Record<string, IfcField>>> {
  readonly name: string;
  /** Bytes, without a flexible array at the end. */
  readonly size: number;
  readonly fields: F;

  /** @throws RangeError when a field leaves the layout or is split across words */
  constructor(name: string, size: number, fields: F) {
    this.name = name;
    this.size = size;
    this.fields = fields;
    for (const [field, [offset, width]] of Object.entries(fields)) {
      const whole = width === 64 ? offset % 64 === 0 : width > 0 && width <= 32 && (offset & 31) + width <= 32;
      if (!whole || offset < 0 || offset + width > 8 * size) throw new RangeError(`${name}.${field}: ${width} bits at 0x${offset.toString(16)}`);
    }
  }

  /** Byte offset of a field that begins at a byte. */
  offsetof(field: keyof F & string): number {
    return this.fields[field]![0] / 8;
  }

  /** Value of a field. @param at byte where the layout begins */
  get<K extends keyof F & string>(bytes: Uint8Array, field: K, at = 0): IfcValue<F[K]> {
    const [offset, width] = this.fields[field]!;
    const byte = at + (offset >>> 5) * 4;
    const value = width === 64
      ? (BigInt(word(bytes, byte)) << 32n) | BigInt(word(bytes, byte + 4))
      : slice(word(bytes, byte), offset & 31, width);
    return value as IfcValue<F[K]>; // by its width
  }

  /** Set a field; bits that do not fit are cut off. @param at byte where the layout begins */
  set<K extends keyof F & string>(bytes: Uint8Array, field: K, value: IfcValue<F[K]>, at = 0): undefined {
    const [offset, width] = this.fields[field]!;
    const byte = at + (offset >>> 5) * 4;
    if (typeof value === 'bigint') {
      put(bytes, byte, Number((value >> 32n) & 0xffff_ffffn));
      put(bytes, byte + 4, Number(value & 0xffff_ffffn));
      return;
    }
    const shift = 32 - width - (offset & 31);
    const mask = width === 32 ? 0xffff_ffff : ((2 ** width - 1) << shift) >>> 0;
    put(bytes, byte, ((word(bytes, byte) & ~mask) | (((value as number) << shift) & mask)) >>> 0);
  }

  /** New bytes with fields set. @param extra bytes behind the layout, for its flexible array */
  make(values: { readonly [K in keyof F]?: IfcValue<F[K]> }, extra = 0): Uint8Array {
    const bytes = new Uint8Array(this.size + extra);
    for (const [field, value] of Object.entries(values)) this.set(bytes, field, value as IfcValue<F[string]>); // as declared by `values`
    return bytes;
  }
}

/** The 32-bit big endian word at a byte. */
export function be32At(bytes: Uint8Array, at: number): number {
  return word(bytes, at);
}

/** Write a 32-bit big endian word. */
export function setBe32At(bytes: Uint8Array, at: number, value: number): undefined {
  put(bytes, at, value);
}

/** A 32-bit word with its bytes turned round: `swab32`, between registers that are big endian and MMIO that is not. */
export function swab32(value: number): number {
  return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

function put(bytes: Uint8Array, at: number, value: number): undefined {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function slice(value: number, offset: number, width: number): number {
  return width === 32 ? value : (value >>> (32 - width - offset)) & (2 ** width - 1);
}
