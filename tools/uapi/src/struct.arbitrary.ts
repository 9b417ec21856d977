/** Made-up structs for the tests of the struct describer; fast-check comes from the test. */
import type fastCheck from 'fast-check';
import { array, be16, be32, bytes, defineStruct, s16, s32, s64, s8, u16, u32, u64, u8 } from './struct.ts';
import type { AnyFieldType, AnyStruct } from './struct.ts';

/** A made-up struct, whether it is packed, and values to put in it. */
export interface MadeUp {
  readonly struct: AnyStruct;
  readonly fields: AnyStruct['fields'];
  readonly packed: boolean;
  readonly value: Readonly<Record<string, unknown>>;
}

interface Field {
  readonly type: AnyFieldType;
  readonly value: unknown;
}

type FastCheck = typeof fastCheck;

function scalar(fc: FastCheck): fastCheck.Arbitrary<Field> {
  const scalars = [
    [u8, fc.nat(0xff)],
    [s8, fc.integer({ min: -0x80, max: 0x7f })],
    [u16, fc.nat(0xffff)],
    [s16, fc.integer({ min: -0x8000, max: 0x7fff })],
    [be16, fc.nat(0xffff)],
    [u32, fc.nat(0xffff_ffff)],
    [s32, fc.integer()],
    [be32, fc.nat(0xffff_ffff)],
    [u64, fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })],
    [s64, fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n })],
  ] as const;
  return fc.oneof(...scalars.map(([type, values]) => values.map((value: number | bigint) => ({ type, value }))));
}

function list(fc: FastCheck): fastCheck.Arbitrary<Field> {
  const short = fc.nat(0xffff);
  const wide = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
  return fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 9 }).map((value) => ({ type: bytes(value.length), value })),
    fc.array(short, { minLength: 2, maxLength: 5 }).map((value) => ({ type: array(u16, value.length), value })),
    fc.array(wide, { minLength: 2, maxLength: 3 }).map((value) => ({ type: array(u64, value.length), value })),
  );
}

/** Structs of one to eight fields named f0, f1, ... */
export function anyStruct(fc: FastCheck, name: string): fastCheck.Arbitrary<MadeUp> {
  const field = fc.oneof({ weight: 3, arbitrary: scalar(fc) }, { weight: 1, arbitrary: list(fc) });
  return fc.tuple(fc.array(field, { minLength: 1, maxLength: 8 }), fc.boolean()).map(([members, packed]) => {
    const fields = Object.fromEntries(members.map((member, i) => [`f${i}`, member.type]));
    const value = Object.fromEntries(members.map((member, i) => [`f${i}`, member.value]));
    return { struct: defineStruct(name, fields, { packed }), fields, packed, value };
  });
}
