import { vfio_info_cap_header } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { addCapability, capAdd, capShift } from './info-cap.ts';
import type { VfioInfoCap } from './header.ts';

const heads = (caps: VfioInfoCap): object[] => {
  const out: object[] = [];
  for (let at = 0; caps.buf.length > 0;) {
    const head = vfio_info_cap_header.decode(caps.buf, at);
    out.push({ at, ...head });
    if (head.next === 0) break;
    at = head.next;
  }
  return out;
};

test('capabilities follow each other, unaligned as they come, the last one with no next', () => {
  const caps: VfioInfoCap = { buf: new Uint8Array(0) };
  expect(capAdd(caps, 12, 3, 1)).toBe(0);
  addCapability(caps, Uint8Array.of(...vfio_info_cap_header.encode({ id: 7, version: 2 }), 0xaa, 0xbb));
  expect(heads(caps)).toEqual([{ at: 0, id: 3, version: 1, next: 12 }, { at: 12, id: 7, version: 2, next: 0 }]);
  expect(caps.buf.length).toBe(22);
  expect([...caps.buf.subarray(20, 22)]).toEqual([0xaa, 0xbb]);
  capShift(caps, 24);
  expect(vfio_info_cap_header.decode(caps.buf, 0).next).toBe(36);
});
