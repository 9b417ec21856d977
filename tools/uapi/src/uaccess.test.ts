import { expect, test } from 'vitest';
import { get_user, put_user } from './uaccess.ts';

test('numbers of every size are put and got little-endian, and only their own bytes are touched', () => {
  const bytes = new Uint8Array(24).fill(0xee);
  const mm = { read: (va: number, len: number) => bytes.slice(va, va + len), write: (va: number, put: Uint8Array): undefined => void bytes.set(put, va) as undefined };
  for (const size of [1, 2, 4, 8] as const) {
    bytes.fill(0xee);
    put_user(mm, 8, size, 0x8877_6655_4433_2211n);
    expect([...bytes.subarray(8, 8 + size)]).toEqual([0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88].slice(0, size));
    expect([bytes[7], bytes[8 + size]]).toEqual([0xee, 0xee]);
    expect(get_user(mm, 8, size)).toBe(BigInt.asUintN(8 * size, 0x8877_6655_4433_2211n));
  }
  put_user(mm, 0, 4, -1);
  expect(get_user(mm, 0, 4)).toBe(0xffff_ffffn);
});
