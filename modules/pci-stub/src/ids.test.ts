import { describe, expect, it } from 'vitest';
import { parseId } from './ids.ts';

describe('an id of the parameter ids', () => {
  it('is vendor and device at least; what is not said matches anything', () => {
    expect(parseId('8086:10d3')).toEqual({
      vendor: 0x8086, device: 0x10d3, subvendor: null, subdevice: null, class: 0, class_mask: 0,
      text: '8086:10D3 sub=FFFFFFFF:FFFFFFFF cls=00000000/00000000',
    });
    expect(parseId('1af4:1000:1:2:020000:ff0000')).toMatchObject({ subvendor: 1, subdevice: 2, class: 0x02_0000, class_mask: 0xff_0000 });
  });

  it('is none with fewer fields, or without numbers', () => {
    expect([parseId('8086'), parseId('xyz'), parseId('8086:'), parseId('')]).toEqual([null, null, null, null]);
  });
});
