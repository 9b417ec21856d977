import { expect, test } from 'vitest';
import { VfAdmin } from './vf-admin.ts';

test('an address counts once its last two bytes are written, and a tag at once, for the function that was selected', () => {
  const tags: number[] = [];
  const macs: Uint8Array[] = [new Uint8Array(6), new Uint8Array(6)];
  const admin = new VfAdmin({
    mac: (vf) => macs[vf] ?? null, setMac: (vf, mac): undefined => void (macs[vf] !== undefined && (macs[vf] = mac)),
    tci: (vf) => tags[vf] ?? 0, setTci: (vf, tci): undefined => void (tags[vf] = tci),
  });
  admin.write(0, 4, 1);
  admin.write(4, 4, 0x0403_0201);
  expect(macs[1]).toEqual(new Uint8Array(6));
  admin.write(8, 4, 0xffff_0605);
  expect(macs).toEqual([new Uint8Array(6), Uint8Array.of(1, 2, 3, 4, 5, 6)]);
  expect([admin.read(0), admin.read(4), admin.read(8)]).toEqual([1, 0x0403_0201, 0x0605]);
  expect(admin.read(12)).toBe(0);
  admin.write(12, 4, 0xffff_6005);
  expect([tags[1], admin.read(12), tags[0]]).toEqual([0x6005, 0x6005, undefined]);
});

test('narrow writes, other offsets and functions there are not change and tell nothing', () => {
  const set: number[] = [];
  const admin = new VfAdmin({ mac: () => null, setMac: (vf): undefined => void set.push(vf), tci: () => 0, setTci: (vf): undefined => void set.push(vf) });
  admin.write(0, 2, 7);
  admin.write(8, 1, 7);
  admin.write(16, 4, 7);
  expect([admin.read(0), admin.read(4), admin.read(8), admin.read(16), set]).toEqual([0, 0, 0, 0, []]);
});
