/** 802.1Q tags that a port puts on and takes off for what is plugged into it, which then belongs to one VLAN and knows of none. */
import { ETH_ALEN, ETH_P_8021Q } from '@vdpalab/uapi';
import type { FramePool } from './frame-pool.ts';

/** Where a tag begins, and its length, bytes. */
const AT = 2 * ETH_ALEN;
const TAG = 4;
const VLAN_VID_MASK = 0x0fff;

/**
 * The frame with a tag.
 *
 * @param frame its reference goes
 * @param tci VLAN in bits 11 to 0, priority in bits 15 to 13
 * @returns a frame with a reference, or -1 when there is no slot for it
 */
export function tagged(pool: FramePool, frame: number, tci: number): number {
  const copy = pool.take(pool.length[frame]! + TAG);
  if (copy >= 0) {
    const [from, to] = [pool.bytes(frame), pool.bytes(copy)];
    to.set(from.subarray(0, AT));
    to.set([ETH_P_8021Q >> 8, ETH_P_8021Q & 0xff, tci >> 8, tci & 0xff], AT);
    to.set(from.subarray(AT), AT + TAG);
    pool.cause[copy] = pool.cause[frame]!;
  }
  pool.release(frame);
  return copy;
}

/**
 * The frame as a member of a VLAN sees it.
 *
 * @param frame its reference goes
 * @param vid the VLAN; frames without a tag are those of VLAN 0
 * @returns a frame with a reference, or -1 when it is of another VLAN, or there is no slot for it
 */
export function untagged(pool: FramePool, frame: number, vid: number): number {
  const from = pool.bytes(frame);
  const has = from.length >= AT + TAG && ((from[AT]! << 8) | from[AT + 1]!) === ETH_P_8021Q;
  if (!has && vid === 0) return frame;
  const mine = has && (((from[AT + 2]! << 8) | from[AT + 3]!) & VLAN_VID_MASK) === vid;
  const copy = mine ? pool.take(from.length - TAG) : -1;
  if (copy >= 0) {
    const to = pool.bytes(copy);
    to.set(from.subarray(0, AT));
    to.set(from.subarray(AT + TAG), AT);
    pool.cause[copy] = pool.cause[frame]!;
  }
  pool.release(frame);
  return copy;
}
