import { vfio_region_gfx_edid } from '@vdpalab/uapi';
import { covers } from '@vdpalab/testing';
import { expect, it } from 'vitest';
import { MbochsRegisters } from './registers.ts';

const half = (value: number): Uint8Array => Uint8Array.of(value & 0xff, value >> 8);
const vbe = (index: number): number => 0x500 + 2 * index;
const MB = 1 << 20;

function registers(memsize = 4 * MB): { r: MbochsRegisters; set: (index: number, value: number) => void; get: (index: number) => number } {
  const r = new MbochsRegisters(memsize, 800, 600);
  return { r, set: (index, value) => r.writeMmio(vbe(index), half(value)), get: (index) => new DataView(r.readMmio(vbe(index), 2).buffer).getUint16(0, true) };
}

it('says that it is a Bochs display with so much memory, and forgets modes at a reset', () => {
  covers('2.11.9');
  const { r, set, get } = registers();
  expect([get(0), get(10), get(1)]).toEqual([0xb0c5, 64, 0]);
  set(1, 640);
  expect(get(1)).toBe(640);
  r.reset();
  expect([get(0), get(1)]).toEqual([0xb0c5, 0]);
});

it('has registers of two bytes at even places, and reads 0 elsewhere', () => {
  const { r, set, get } = registers();
  set(1, 640);
  expect([...r.readMmio(0x501, 2)]).toEqual([0, 0]);
  expect([...r.readMmio(0x502, 4)]).toEqual([0, 0, 0, 0]);
  expect([...r.readMmio(0x400, 1), ...r.readMmio(0x600, 2), ...r.readMmio(0x516, 2)]).toEqual([0, 0, 0, 0, 0]);
  r.writeMmio(0x502, Uint8Array.of(1, 2, 3, 4));
  r.writeMmio(0x516, half(7));
  expect(get(1)).toBe(640);
});

it('shows a framebuffer once a mode is enabled that fits into its memory', () => {
  const { r, set } = registers();
  expect(r.framebuffer()).toBe(null);
  for (const [index, value] of [[1, 640], [2, 480], [3, 32], [4, 1]] as const) set(index, value);
  expect(r.framebuffer()).toEqual({ width: 640, height: 480, stride: 2560, offset: 0 });
  set(6, 800);
  set(8, 2);
  set(9, 1);
  expect(r.framebuffer()).toEqual({ width: 640, height: 480, stride: 3200, offset: 3208 });
  for (const [index, value, back] of [[3, 16, 32], [1, 63, 640], [2, 63, 480], [2, 2000, 480], [4, 0, 1]] as const) {
    set(index, value);
    expect(r.framebuffer(), `register ${index} = ${value}`).toBe(null);
    set(index, back);
  }
});

it('takes a monitor\'s data, and shows it to the guest while the link is up', () => {
  const { r } = registers();
  const edid = () => vfio_region_gfx_edid.decode(r.readEdid(0, 4).length === 4 ? Uint8Array.from([0, 4, 8, 12, 16, 20].flatMap((at) => [...r.readEdid(at, 4)])) : new Uint8Array(0));
  expect(edid()).toEqual({ edid_offset: 2048, edid_max_size: 0x400, edid_size: 0, max_xres: 800, max_yres: 600, link_state: 0 });
  r.writeEdid(2048, Uint8Array.of(1, 2, 3, 4));
  r.writeEdid(8, Uint8Array.of(128, 0, 0, 0)); // edid_size
  r.writeEdid(12, Uint8Array.of(9, 9, 0, 0)); // max_xres cannot be written
  expect([...r.readMmio(0, 4)]).toEqual([0, 0, 0, 0]);
  r.writeEdid(20, Uint8Array.of(1, 0, 0, 0)); // link_state
  expect([...r.readMmio(0, 4), ...r.readMmio(128, 2)]).toEqual([1, 2, 3, 4, 0, 0]);
  expect([edid().max_xres, [...r.readEdid(2048, 2)], [...r.readEdid(1, 4)], [...r.readEdid(2048 + 0x3ff, 2)]]).toEqual([800, [1, 2], [0, 0, 0, 0], [0, 0]]);
  r.writeEdid(2048 + 0x3ff, Uint8Array.of(1, 1)); // beyond it
  expect([...r.readEdid(2048 + 0x3ff, 1)]).toEqual([0]);
});
