import { describe, expect, it } from 'vitest';
import { createMachine } from '../machine.ts';
import { createPciHost } from '../pci/create.ts';
import type { PciFunction } from '../pci/function.ts';
import type { GenericFunctionConfig } from './config.ts';
import { readDump } from './dump.ts';

/** An Ethernet card with power management, MSI-X of 4 vectors in BAR 3, and a serial number. */
const DUMP = `02:00.0 Ethernet controller: a card
00: 86 80 d3 10 07 05 10 f0 01 00 00 02 10 00 00 00
10: 00 00 24 fe 01 c0 00 00 00 00 00 00 04 00 28 fe
20: 00 00 00 00 00 00 00 00 00 00 00 00 86 80 01 00
30: 01 00 20 fe c8 00 00 00 00 00 00 00 0b 01 00 00
a0: 11 00 03 80 03 00 00 00 03 20 00 00 00 00 00 00
c0: 00 00 00 00 00 00 00 00 01 a0 23 00 03 80 00 00
100: 03 00 01 00 56 34 12 ff ff 00 54 52 00 00 00 00`;

function card(more: Partial<GenericFunctionConfig> = {}): PciFunction {
  const hw = createMachine({ seed: 1, ramBytes: 1 << 20, iommu: false, cmdline: '', release: '6.1.0', consoleSink: () => undefined });
  const config: GenericFunctionConfig = { at: '00:02.0', model: 'generic', config: DUMP, bars: { 0: 0x2_0000, 1: 32, 3: 0x4000 }, rom: 0x4_0000, ...more };
  return createPciHost(hw, { root_ports: [], functions: [config] }).functions.get('00:02.0')!;
}

describe('a dump', () => {
  it('is as long as its last line needs, with zeros where lines are left out', () => {
    const bytes = readDump(DUMP);
    expect([bytes.length, bytes[0xa0], bytes[0x40], bytes[0x100]]).toEqual([4096, 0x11, 0, 3]);
    expect(readDump(DUMP.split('\n').slice(0, 5).join('\n')).length).toBe(64);
    expect(readDump(DUMP.split('\n').slice(0, 6).join('\n')).length).toBe(256);
  });

  it('has a whole header, and ends where configuration space does', () => {
    expect(() => readDump('00: 86 80')).toThrow('the header is 64 bytes, 2 are here');
    expect(() => readDump(`${DUMP}\nffff: 00`)).not.toThrow(); // no line of a dump
    expect(() => readDump(`${DUMP}\nff8: 00 00 00 00 00 00 00 00 00`)).toThrow('goes beyond 4096 bytes');
  });
});

describe('a function from a dump', () => {
  it('is as at power-on: nothing decodes, no BAR has an address, no error stands', () => {
    const { config } = card();
    expect([config.read(0, 4), config.read(4, 2), config.read(6, 2)]).toEqual([0x10d3_8086, 0, 0x0010]);
    expect([0x10, 0x14, 0x1c, 0x30].map((at) => config.read(at, 4))).toEqual([0, 1, 4, 0]);
    expect([config.read(0xa2, 2), config.read(0xcc, 2)]).toEqual([3, 0]);
  });

  it('has BARs of the sizes that were given, of the kind that was dumped', () => {
    const { config } = card();
    for (const at of [0x10, 0x14, 0x18, 0x1c, 0x30]) config.write(at, 4, 0xffff_ffff);
    expect([0x10, 0x14, 0x18, 0x1c, 0x30].map((at) => config.read(at, 4))).toEqual([0xfffe_0000, 0xffff_ffe1, 0, 0xffff_c004, 0xfffc_0001]);
  });

  it('lets those bits of its capabilities be written that hardware lets', () => {
    const { config } = card();
    config.write(0xa2, 2, 0xffff);
    config.write(0xcc, 2, 0xffff);
    config.write(0x100, 4, 0xffff_ffff);
    expect([config.read(0xa2, 2), config.read(0xcc, 2), config.read(0x100, 4)]).toEqual([0xc003, 0x0103, 0x0001_0003]);
  });

  it('keeps what is written behind its BARs until it is reset', () => {
    const fn = card();
    fn.writeBar(0, 0x10, 4, 0x1234_5678);
    expect([fn.readBar(0, 0x10, 4), fn.readBar(0, 0x11, 1), fn.readBar(0, 0x20, 4)]).toEqual([0x1234_5678, 0x56, 0]);
    fn.reset();
    expect(fn.readBar(0, 0x10, 4)).toBe(0);
  });

  it('has its MSI-X table where the dump says, all masked', () => {
    const fn = card();
    expect([fn.readBar(3, 12, 4), fn.readBar(3, 0x2000, 4), fn.msix?.count]).toEqual([1, 0, 4]);
    fn.writeBar(3, 0, 4, 0xfee0_0000);
    expect([fn.readBar(3, 0, 4), fn.readBar(0, 0, 4)]).toEqual([0xfee0_0000, 0]);
  });
});
