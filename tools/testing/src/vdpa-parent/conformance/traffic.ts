/** One piece of work that a device does: a frame that is sent and comes back, or a sector that is written and read. */
import {
  VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_ID_NET, virtio_blk_outhdr, virtio_net_hdr_v1,
} from '@vdpalab/uapi';
import { expect } from 'vitest';
import type { Atomic } from '@vdpalab/abi';
import type { DriverQueue, DriverRings, Piece } from '../driver-rings.ts';
import type { ParentOffers } from './subject.ts';

const HDR = virtio_net_hdr_v1.size;
const SECTOR = 512;

/** Who works: a device that offers so much, and time for it. */
export interface Worker {
  readonly offers: ParentOffers;
  readonly idle: () => Promise<void>;
}

/** Rings to work through. */
export type WorkRings<Q extends DriverQueue> = Pick<DriverRings<Q>, 'bytes' | 'take' | 'used' | 'queues'> & {
  readonly give: (queue: Q, out: readonly Piece[], inp: readonly Piece[], token: number) => Promise<void> | Atomic;
};

/** A broadcast frame: every parent's network brings it back. @param seed of its payload */
export function testFrame(seed: number): Uint8Array {
  const frame = Uint8Array.from({ length: 100 }, (_, i) => (i * 7 + seed) & 0xff);
  frame.fill(0xff, 0, 6);
  frame.set([0x52, 0x54, 0, 0, 0, 0xfe, 0x88, 0xb5], 6); // a sender of its own, an experimental protocol
  return frame;
}

/** The queue whose interrupt says that work was done, and how often it has. */
export interface Done {
  readonly index: number;
  readonly completions: number;
}

/** Do one piece of work through the rings, and see that it was done. */
export async function work<Q extends DriverQueue>(c: Worker, rings: WorkRings<Q>, seed = 1): Promise<Done> {
  return c.offers.device_id === VIRTIO_ID_NET ? await frameBack(c, rings, seed) : await sectorKept(c, rings, seed);
}

async function frameBack<Q extends DriverQueue>(c: Worker, rings: WorkRings<Q>, seed: number): Promise<Done> {
  const [rx, tx] = rings.queues;
  if (rx === undefined || tx === undefined) throw new Error('a network device without its data queues');
  const frame = testFrame(seed);
  const buffer = rings.take(2048);
  const at = rings.take(HDR + frame.length);
  rings.bytes.set(frame, at + HDR);
  await rings.give(rx, [], [[buffer, 2048]], seed);
  await rings.give(tx, [[at, HDR + frame.length]], [], seed);
  await c.idle();
  expect(rings.used(tx).map(([token]) => token)).toEqual([seed]);
  expect(rings.used(rx)).toEqual([[seed, HDR + frame.length]]);
  expect([...rings.bytes.subarray(buffer + HDR, buffer + HDR + frame.length)]).toEqual([...frame]);
  return { index: rx.index, completions: 1 };
}

async function sectorKept<Q extends DriverQueue>(c: Worker, rings: WorkRings<Q>, seed: number): Promise<Done> {
  const [vq] = rings.queues;
  if (vq === undefined) throw new Error('a block device without its queue');
  const request = async (type: number, bytes: Uint8Array | null): Promise<Uint8Array> => {
    const header = rings.take(virtio_blk_outhdr.size);
    const data = rings.take(SECTOR);
    const status = rings.take(1);
    rings.bytes.set(virtio_blk_outhdr.encode({ type, sector: BigInt(seed) }), header);
    if (bytes !== null) rings.bytes.set(bytes, data);
    rings.bytes[status] = 0xff;
    const piece = [data, SECTOR] as const;
    const head = [header, virtio_blk_outhdr.size] as const;
    await rings.give(vq, bytes === null ? [head] : [head, piece], bytes === null ? [piece, [status, 1]] : [[status, 1]], seed);
    await c.idle();
    expect(rings.used(vq)).toEqual([[seed, bytes === null ? SECTOR + 1 : 1]]);
    expect(rings.bytes[status]).toBe(0);
    return rings.bytes.slice(data, data + SECTOR);
  };
  const contents = Uint8Array.from({ length: SECTOR }, (_, i) => (i * 3 + seed) & 0xff);
  await request(VIRTIO_BLK_T_OUT, contents);
  expect(await request(VIRTIO_BLK_T_IN, null)).toEqual(contents);
  return { index: vq.index, completions: 2 }; // written, read
}

/** Offer one piece of work, and see that nothing of it is done. */
export async function workUndone<Q extends DriverQueue>(c: Worker, rings: WorkRings<Q>): Promise<void> {
  const buffer = [rings.take(2048), 2048] as const;
  const header = [rings.take(HDR + 100), c.offers.device_id === VIRTIO_ID_NET ? HDR + 100 : virtio_blk_outhdr.size] as const;
  rings.bytes.fill(0xff, header[0] + HDR, header[0] + HDR + 6); // to all
  const [first, second] = rings.queues;
  if (first === undefined) throw new Error('a device without queues');
  if (second === undefined) {
    await rings.give(first, [header], [buffer], 99);
  } else {
    await rings.give(first, [], [buffer], 99);
    await rings.give(second, [header], [], 99);
  }
  await c.idle();
  expect(rings.queues.map((queue) => rings.used(queue))).toEqual(rings.queues.map(() => []));
}
