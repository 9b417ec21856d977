import { describe, expect, it } from 'vitest';
import { readBar, readBars, readRom, writeBar } from './bar.ts';
import { formatResource, resourceLine } from './ioresource.ts';
import { FakeRegisters } from './registers.arbitrary.ts';

describe('reading a BAR', () => {
  it('finds size, type and address of a 32-bit one, and leaves the register as it was', () => {
    const regs = new FakeRegisters().put(0x10, 4, 0xfe00_0000, 0xffff_c000);
    const { res, registers } = readBar(regs, 0x10);
    expect(res).toEqual({ start: 0xfe00_0000, size: 0x4000, align: 0x4000, flags: 0x40200 });
    expect(registers).toBe(1);
    expect(regs.read(0x10, 4)).toBe(0xfe00_0000);
  });

  it('finds a 64-bit prefetchable one in two registers', () => {
    const regs = new FakeRegisters().put(0x10, 4, 0x0000_000c, 0xffff_f000).put(0x14, 4, 0x38, 0xffff_ffff);
    const { res, registers } = readBar(regs, 0x10);
    expect(res).toEqual({ start: 0x38_0000_0000, size: 0x1000, align: 0x1000, flags: 0x14220c });
    expect(registers).toBe(2);
  });

  it('finds one of 64 GiB, whose size is in the upper register', () => {
    const regs = new FakeRegisters().put(0x10, 4, 0x4, 0).put(0x14, 4, 0, 0xffff_fff0);
    // The low register has only its type bits: a mask without address bits.
    expect(readBar(regs, 0x10).res.size).toBe(2 ** 36);
  });

  it('finds an I/O one', () => {
    const regs = new FakeRegisters().put(0x10, 4, 0xc001, 0xffe0);
    expect(readBar(regs, 0x10).res).toEqual({ start: 0xc000, size: 32, align: 32, flags: 0x40101 });
  });

  it('finds nothing in a register that takes no bits, or that nobody answers', () => {
    expect(readBar(new FakeRegisters(), 0x10).res.size).toBe(0);
    expect(readBar(new FakeRegisters().put(0x10, 4, 0xffff_ffff), 0x10).res.size).toBe(0);
  });

  it('switches decoding off meanwhile and on again', () => {
    const regs = new FakeRegisters().put(0x04, 2, 0x0006, 0xffff).put(0x10, 4, 0, 0xffff_f000);
    readBars(regs, 0x10, 6);
    expect(regs.writes[0]).toEqual({ where: 4, value: 0x0004 });
    expect(regs.writes.at(-1)).toEqual({ where: 4, value: 0x0006 });
  });

  it('counts the upper half of a 64-bit one as a BAR that is absent', () => {
    const regs = new FakeRegisters().put(0x10, 4, 0xc, 0xffff_f000).put(0x14, 4, 0, 0xffff_ffff).put(0x18, 4, 0, 0xffff_0000);
    expect(readBars(regs, 0x10, 6).map(({ size }) => size)).toEqual([0x1000, 0, 0x10000, 0, 0, 0]);
  });
});

describe('the ROM register', () => {
  it('has its enable bit apart', () => {
    const regs = new FakeRegisters().put(0x30, 4, 0xfeb0_0000, 0xfff8_0001);
    expect(readRom(regs, 0x30)).toMatchObject({ start: 0xfeb0_0000, size: 0x8_0000 });
    expect(regs.read(0x30, 4)).toBe(0xfeb0_0000);
    expect(readRom(new FakeRegisters(), 0x30).size).toBe(0);
  });
});

describe('writing a BAR', () => {
  it('fills both registers of a 64-bit one', () => {
    const regs = new FakeRegisters().put(0x10, 4, 0xc, 0xffff_f000).put(0x14, 4, 0, 0xffff_ffff);
    writeBar(regs, 0x10, { start: 0x3800_0012_3000, size: 0x1000, align: 0x1000, flags: 0x14220c });
    expect([regs.read(0x10, 4), regs.read(0x14, 4)]).toEqual([0x0012_300c, 0x3800]);
  });
});

describe('a resource as text', () => {
  it('is a range once it is assigned, a size before', () => {
    const res = { start: 0xfe00_0000, size: 0x4000, flags: 0x14220c };
    expect(formatResource(res)).toBe('[mem 0xfe000000-0xfe003fff 64bit pref]');
    expect(formatResource({ ...res, start: 0 })).toBe('[mem size 0x00004000 64bit pref]');
    expect(formatResource({ ...res, start: 0 }, false)).toBe('[mem 0x00000000-0x00003fff 64bit pref]');
    expect(formatResource({ start: 0xc000, size: 32, flags: 0x40101 })).toBe('[io  0xc000-0xc01f]');
  });

  it('is three numbers in sysfs, zeros when it has no address', () => {
    const res = { start: 0xfe00_0000, size: 0x4000, flags: 0x40200 };
    expect(resourceLine(res)).toBe('0x00000000fe000000 0x00000000fe003fff 0x0000000000040200\n');
    expect(resourceLine({ ...res, start: 0 })).toBe('0x0000000000000000 0x0000000000000000 0x0000000000000000\n');
  });
});
