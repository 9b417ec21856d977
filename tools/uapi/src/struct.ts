/**
 * Descriptions of C structs as bytes in memory.
 *
 * A description knows what the x86-64 and arm64 Linux ABI would do with the same declaration:
 * each field sits at the next offset that is a multiple of its alignment, and the size is rounded
 * up to the largest alignment. Multi-byte fields are little endian unless the field type says `be`.
 */

/** How one C type lies in memory: what a struct's field is declared with. */
export interface FieldType<T> {
  /** In bytes. */
  readonly size: number;
  /** In bytes, a power of two. */
  readonly align: number;
  readonly read: (view: DataView, at: number) => T;
  /** Stores as a C assignment does: what does not fit is cut off, not refused. */
  readonly write: (view: DataView, at: number, value: T) => undefined;
  /** What zeroed memory reads as. */
  readonly zero: () => T;
}

/** Any field type: `never` because a value to write must fit the one type that is meant. */
export interface AnyFieldType {
  readonly size: number;
  readonly align: number;
  readonly read: (view: DataView, at: number) => unknown;
  readonly write: (view: DataView, at: number, value: never) => undefined;
  readonly zero: () => unknown;
}

/** The fields of a struct in C order. */
export type Fields = Readonly<Record<string, AnyFieldType>>;

/** The plain object a field type reads as. */
export type ValueOf<F> = F extends FieldType<infer T> ? T : never;

/** The plain object a struct with these fields reads as. */
export type StructValue<F extends Fields> = { readonly [K in keyof F]: ValueOf<F[K]> };

/** A described C struct; may itself be a field of another struct. */
export interface Struct<F extends Fields> extends FieldType<StructValue<F>> {
  /** The name after `struct` in C. */
  readonly name: string;
  readonly fields: F;
  /** Byte offset of each field. */
  readonly offsets: { readonly [K in keyof F]: number };
  /** Byte offset of a field, as C's `offsetof`. */
  readonly offsetof: (field: keyof F) => number;
  /** New bytes of this struct; fields that are left out are zero, as in a C initialiser. */
  readonly encode: (value?: Partial<StructValue<F>>) => Uint8Array<ArrayBuffer>;
  /** @throws RangeError when `bytes` from `at` on are fewer than `size` */
  readonly decode: (bytes: Uint8Array, at?: number) => StructValue<F>;
}

/** Any described struct, when only its layout matters. */
export interface AnyStruct extends AnyFieldType {
  readonly name: string;
  readonly fields: Fields;
  readonly offsets: Readonly<Record<string, number>>;
  readonly encode: (value?: never) => Uint8Array<ArrayBuffer>;
  readonly decode: (bytes: Uint8Array, at?: number) => Readonly<Record<string, unknown>>;
}

/** Whether a value is a struct made by {@link defineStruct}. */
export function isStruct(value: unknown): value is AnyStruct {
  return typeof value === 'object' && value !== null && 'fields' in value && 'offsets' in value && 'decode' in value;
}

type Getter<T> = (view: DataView, at: number) => T;
type Setter<T> = (view: DataView, at: number, value: T) => void;

function scalar<T>(size: number, none: T, get: Getter<T>, set: Setter<T>): FieldType<T> {
  const write = (view: DataView, at: number, value: T): undefined => {
    set(view, at, value);
  };
  return Object.freeze({ size, align: size, read: get, write, zero: () => none });
}

/** `__u8`. */
export const u8: FieldType<number> = scalar(1, 0, (v, at) => v.getUint8(at), (v, at, n) => v.setUint8(at, n));
/** `__s8`. */
export const s8: FieldType<number> = scalar(1, 0, (v, at) => v.getInt8(at), (v, at, n) => v.setInt8(at, n));
/** `__u16`, `__le16`. */
export const u16: FieldType<number> = scalar(
  2,
  0,
  (v, at) => v.getUint16(at, true),
  (v, at, n) => v.setUint16(at, n, true),
);
/** `__s16`. */
export const s16: FieldType<number> = scalar(
  2,
  0,
  (v, at) => v.getInt16(at, true),
  (v, at, n) => v.setInt16(at, n, true),
);
/** `__u32`, `__le32`, `unsigned int`. */
export const u32: FieldType<number> = scalar(
  4,
  0,
  (v, at) => v.getUint32(at, true),
  (v, at, n) => v.setUint32(at, n, true),
);
/** `__s32`, `int`. */
export const s32: FieldType<number> = scalar(
  4,
  0,
  (v, at) => v.getInt32(at, true),
  (v, at, n) => v.setInt32(at, n, true),
);
/** `__u64`, `__le64`, a pointer, `size_t`. */
export const u64: FieldType<bigint> = scalar(
  8,
  0n,
  (v, at) => v.getBigUint64(at, true),
  (v, at, n) => v.setBigUint64(at, n, true),
);
/** `__s64`, `long`. */
export const s64: FieldType<bigint> = scalar(
  8,
  0n,
  (v, at) => v.getBigInt64(at, true),
  (v, at, n) => v.setBigInt64(at, n, true),
);
/** `__be16`. */
export const be16: FieldType<number> = scalar(2, 0, (v, at) => v.getUint16(at), (v, at, n) => v.setUint16(at, n));
/** `__be32`. */
export const be32: FieldType<number> = scalar(4, 0, (v, at) => v.getUint32(at), (v, at, n) => v.setUint32(at, n));

/**
 * `__u8 name[length]`, read as a copy.
 *
 * Writing fewer bytes fills the rest with zeros.
 * @throws RangeError when more than `length` bytes are written
 */
export function bytes(length: number): FieldType<Uint8Array> {
  return Object.freeze({
    size: length,
    align: 1,
    read: (view: DataView, at: number): Uint8Array => window(view, at, length).slice(),
    write: (view: DataView, at: number, value: Uint8Array): undefined => {
      if (value.length > length) throw new RangeError(`${value.length} bytes do not fit u8[${length}]`);
      const out = window(view, at, length);
      out.set(value);
      out.fill(0, value.length);
    },
    zero: (): Uint8Array => new Uint8Array(length),
  });
}

/**
 * `type name[length]`; an array of `u8` is better described by {@link bytes}.
 *
 * @throws RangeError when a value of another length is written
 */
export function array<T>(type: FieldType<T>, length: number): FieldType<readonly T[]> {
  return Object.freeze({
    size: type.size * length,
    align: type.align,
    read: (view: DataView, at: number): readonly T[] =>
      Array.from({ length }, (_, i) => type.read(view, at + i * type.size)),
    write: (view: DataView, at: number, value: readonly T[]): undefined => {
      if (value.length !== length) throw new RangeError(`${value.length} elements do not fit [${length}]`);
      value.forEach((element, i) => type.write(view, at + i * type.size, element));
    },
    zero: (): readonly T[] => Array.from({ length }, () => type.zero()),
  });
}

/**
 * One member of a C union whose other members make it `size` bytes long and `align` aligned.
 *
 * The bytes behind the member are left as they are when it is written.
 * @throws RangeError when the member is larger than `size`
 */
export function unionMember<T>(type: FieldType<T>, size: number, align: number = type.align): FieldType<T> {
  if (type.size > size) throw new RangeError(`a member of ${type.size} bytes in a union of ${size}`);
  return Object.freeze({ ...type, size, align: Math.max(align, type.align) });
}

/** Options of {@link defineStruct}. */
export interface StructOptions {
  /** `__attribute__((packed))`: no padding, alignment 1. */
  readonly packed?: boolean;
  /** Alignment at least this much, in bytes: what a flexible array at the end asks for. */
  readonly align?: number;
}

/**
 * Describe a C struct.
 *
 * @param name as after `struct` in C
 * @param fields in C order; names must not look like integers, or JavaScript would reorder them
 */
export function defineStruct<const F extends Fields>(name: string, fields: F, options: StructOptions = {}): Struct<F> {
  const entries = Object.entries(fields).map(([key, type]) => ({ key, type, offset: 0 }));
  let end = 0;
  let align = options.align ?? 1;
  for (const entry of entries) {
    const fieldAlign = options.packed === true ? 1 : entry.type.align;
    entry.offset = roundUp(end, fieldAlign);
    end = entry.offset + entry.type.size;
    align = Math.max(align, fieldAlign);
  }
  const size = roundUp(end, align);
  // Casts in here: Object.fromEntries forgets which key had which type; `entries` came from `fields`.
  const offsets = Object.freeze(Object.fromEntries(entries.map((e) => [e.key, e.offset]))) as Struct<F>['offsets'];

  const read = (view: DataView, at: number): StructValue<F> =>
    Object.fromEntries(entries.map((e) => [e.key, e.type.read(view, at + e.offset)])) as StructValue<F>;
  const write = (view: DataView, at: number, value: StructValue<F>): undefined => {
    for (const e of entries) e.type.write(view, at + e.offset, value[e.key] as never);
  };
  const zero = (): StructValue<F> =>
    Object.fromEntries(entries.map((e) => [e.key, e.type.zero()])) as StructValue<F>;

  return Object.freeze({
    name,
    fields: Object.freeze(fields),
    size,
    align,
    offsets,
    offsetof: (field: keyof F): number => offsets[field],
    read,
    write,
    zero,
    encode: (value: Partial<StructValue<F>> = {}): Uint8Array<ArrayBuffer> => {
      const out = new Uint8Array(size);
      write(new DataView(out.buffer), 0, { ...zero(), ...value });
      return out;
    },
    decode: (from: Uint8Array, at = 0): StructValue<F> => {
      const left = from.length - at;
      if (at < 0 || left < size) throw new RangeError(`${left} bytes are not a struct ${name} of ${size}`);
      return read(new DataView(from.buffer, from.byteOffset, from.byteLength), at);
    },
  });
}

function window(view: DataView, at: number, length: number): Uint8Array {
  if (at < 0 || at + length > view.byteLength) throw new RangeError(`${length} bytes at ${at} of ${view.byteLength}`);
  return new Uint8Array(view.buffer, view.byteOffset + at, length);
}

function roundUp(value: number, align: number): number {
  return Math.ceil(value / align) * align;
}
