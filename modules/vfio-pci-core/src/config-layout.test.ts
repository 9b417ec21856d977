import { PCI_CAP_ID_EXP, PCI_CAP_ID_MSI, PCI_CAP_ID_MSIX, PCI_CAP_ID_VNDR, PCI_CAPABILITY_LIST, PCI_STATUS, PCI_STATUS_CAP_LIST } from '@vdpalab/uapi';
import { describe, expect, test } from 'vitest';
import { readLayout, type Registers } from './config-layout.ts';

/** Configuration space with these registers. */
function registers(size: number, put: (view: DataView) => void): Registers {
  const view = new DataView(new ArrayBuffer(size));
  put(view);
  return { byte: (at) => view.getUint8(at), word: (at) => view.getUint16(at, true), dword: (at) => view.getUint32(at, true) };
}

/** A list of standard capabilities: offset, id, next, and the byte behind. */
function standard(view: DataView, caps: readonly (readonly [number, number, number, number])[]): void {
  view.setUint16(PCI_STATUS, PCI_STATUS_CAP_LIST, true);
  view.setUint8(PCI_CAPABILITY_LIST, caps[0]?.[0] ?? 0);
  for (const [at, id, next, byte] of caps) {
    view.setUint8(at, id);
    view.setUint8(at + 1, next);
    view.setUint8(at + 2, byte);
  }
}

const ownerAt = (regs: Registers, size: number, at: number): string | null => {
  const owner = readLayout(regs, size).owners[at >> 2] ?? null;
  return owner === null ? null : `${owner.kind} ${owner.id} ${owner.start}+${owner.size}`;
};

describe('capabilities', () => {
  test('belong to registers by their length; the rest belongs to none', () => {
    const regs = registers(256, (view) => standard(view, [[0x40, PCI_CAP_ID_VNDR, 0x50, 16], [0x50, PCI_CAP_ID_MSIX, 0x60, 0], [0x60, PCI_CAP_ID_EXP, 0, 2]]));
    expect([0x3c, 0x40, 0x4c, 0x50, 0x58, 0x5c, 0x60, 0x90, 0x94].map((at) => ownerAt(regs, 256, at))).toEqual([
      'header 0 0+64', 'standard 9 64+16', 'standard 9 64+16', 'standard 17 80+12', 'standard 17 80+12', null, 'standard 16 96+50', 'standard 16 96+50', null,
    ]);
    expect(readLayout(regs, 256).patches).toEqual([]);
  });

  test('that are hidden are taken out of the list, at its head and inside', () => {
    const regs = registers(256, (view) => standard(view, [[0x40, PCI_CAP_ID_MSI, 0x50, 0], [0x50, PCI_CAP_ID_MSIX, 0x60, 0], [0x60, 0x0d, 0x70, 0], [0x70, PCI_CAP_ID_VNDR, 0, 8]]));
    expect(readLayout(regs, 256).patches).toEqual([{ at: PCI_CAPABILITY_LIST, size: 1, value: 0x50 }, { at: 0x51, size: 1, value: 0x70 }]);
    expect(ownerAt(regs, 256, 0x60)).toBeNull();
  });

  test('without a list there are none, and a loop ends', () => {
    expect(ownerAt(registers(256, () => undefined), 256, 0x40)).toBeNull();
    const loop = registers(256, (view) => standard(view, [[0x40, PCI_CAP_ID_VNDR, 0x40, 16]]));
    expect(ownerAt(loop, 256, 0x40)).toBe('standard 9 64+16');
  });

  test('extended ones are hidden likewise, the first as an empty link', () => {
    const header = (id: number, next: number): number => (id | (1 << 16) | (next << 20)) >>> 0;
    const regs = registers(4096, (view) => {
      view.setUint32(0x100, header(0x1b, 0x140), true); // PASID: hidden
      view.setUint32(0x140, header(0x0e, 0x180), true); // ARI
      view.setUint32(0x180, header(0x1b, 0), true);
    });
    const { patches } = readLayout(regs, 4096);
    const final = new Map(patches.map(({ at, value }) => [at, value]));
    expect(final.get(0x100)).toBe((0x140 << 20) >>> 0);
    expect(final.get(0x140)).toBe(header(0x0e, 0));
    expect(ownerAt(regs, 4096, 0x144)).toBe('extended 14 320+8');
  });
});
