import { describe, expect, it } from 'vitest';
import { findCapability, findExtCapability, findNextCapability } from './capability.ts';
import { FakeRegisters } from './registers.arbitrary.ts';

const VNDR = 0x09;
const MSIX = 0x11;

/** Three capabilities: vendor at 0x40, MSI-X at 0x60, vendor at 0x80. */
function listed(): FakeRegisters {
  return new FakeRegisters().put(0x06, 2, 0x10).put(0x34, 1, 0x40)
    .put(0x40, 2, 0x6009).put(0x60, 2, 0x8011).put(0x80, 2, 0x0009);
}

describe('capabilities', () => {
  it('are found in the order of the list', () => {
    expect(findCapability(listed(), VNDR)).toBe(0x40);
    expect(findCapability(listed(), MSIX)).toBe(0x60);
    expect(findNextCapability(listed(), 0x40, VNDR)).toBe(0x80);
    expect(findNextCapability(listed(), 0x80, VNDR)).toBe(0);
    expect(findCapability(listed(), 0x05)).toBe(0);
  });

  it('are none when the status register says so', () => {
    expect(findCapability(listed().put(0x06, 2, 0), VNDR)).toBe(0);
  });

  it('end at a pointer into the header, and at an id of all ones', () => {
    expect(findCapability(listed().put(0x34, 1, 0x20), VNDR)).toBe(0);
    expect(findCapability(listed().put(0x60, 2, 0x80ff), VNDR)).toBe(0x40);
    expect(findNextCapability(listed().put(0x60, 2, 0x80ff), 0x40, VNDR)).toBe(0);
  });

  it('do not loop for ever', () => {
    expect(findCapability(listed().put(0x80, 2, 0x4009), 0x05)).toBe(0);
  });

  it('ignore the low bits of a pointer', () => {
    expect(findCapability(listed().put(0x34, 1, 0x43), VNDR)).toBe(0x40);
  });
});

describe('extended capabilities', () => {
  const ext = (): FakeRegisters => new FakeRegisters().put(0x100, 4, 0x1401_000e).put(0x140, 4, 0x0001_0010);

  it('are found behind offset 0x100', () => {
    expect(findExtCapability(ext(), 0x0e)).toBe(0x100);
    expect(findExtCapability(ext(), 0x10)).toBe(0x140);
    expect(findExtCapability(ext(), 0x0d)).toBe(0);
  });

  it('are none where nothing answers', () => {
    expect(findExtCapability(new FakeRegisters(), 0x10)).toBe(0);
    expect(findExtCapability(new FakeRegisters().put(0x100, 4, 0xffff_ffff), 0xffff)).toBe(0);
  });

  it('do not loop for ever', () => {
    expect(findExtCapability(ext().put(0x140, 4, 0x1001_0010), 0x0d)).toBe(0);
  });
});
