import { expect, it } from 'vitest';
import { ConfigSpace } from './config-space.ts';

const word = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
const hex = (bytes: Uint8Array | null): string => (bytes === null ? 'outside' : Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(''));

it('looks like the PCI serial card of the sample', () => {
  const config = new ConfigSpace(2, () => undefined);
  expect(hex(config.read(0, 16))).toBe('4843533201000002100200070000000000'.slice(0, 32));
  expect([hex(config.read(0x10, 8)), hex(config.read(0x2c, 4)), hex(config.read(0x3c, 4))]).toEqual(['0100000001000000', '48435332', '00010000']);
  expect(String.fromCharCode(...config.read(0x60, 15)!)).toBe('PCI Serial/UART');
  expect([hex(config.read(0xfc, 4)), hex(config.read(0xfd, 4))]).toEqual(['00000000', 'outside']);
});

it('sizes and moves the BARs it has, and nothing else', () => {
  const log: string[] = [];
  const one = new ConfigSpace(1, (text) => void log.push(text));
  one.write(0x10, word(0xffff_ffff));
  expect(hex(one.read(0x10, 4))).toBe('f9ffffff');
  one.write(0x10, word(0xc000));
  one.write(0x14, word(0xffff_ffff));
  one.write(0x18, word(0xffff_ffff));
  expect([hex(one.read(0x10, 4)), hex(one.read(0x14, 8))]).toEqual(['01c00000', '0000000000000000']);
  one.write(0x3c, Uint8Array.of(11));
  one.write(0x3d, Uint8Array.of(2));
  one.write(0x04, Uint8Array.of(7, 0));
  expect([hex(one.read(0x3c, 2)), hex(one.read(0x04, 2)), one.write(0x40, word(1)), one.write(0xfe, word(1))]).toEqual(['0b01', '0100', true, false]);
  expect(log).toEqual(['BAR0 addr 0xffffffff', 'BAR0 addr 0xc000', 'PCI config write @0x40 of 4 bytes not handled']);
});
