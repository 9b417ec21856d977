/** Copies between a chain's pieces and the device's own memory. Mirrors `vringh_iov_xfer` of `drivers/vhost/vringh.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import { EINVAL, EPERM, VHOST_ACCESS_RO, VHOST_ACCESS_WO } from '@vdpalab/uapi';
import type { ExtentCache } from '@vdpalab/vring';
import type { VringhKiov } from './header.ts';

const TWO_32 = 0x1_0000_0000;

/** A stretch of what the driver gave and where it comes in the transfer, in bytes. */
type Piece = (memory: Uint8Array, at: number) => void;
const NOTHING: Piece = () => undefined;

/**
 * Go through what is left of the pieces, at most `bytes`, and consume it.
 *
 * @param cache mapping used last
 * @param want VHOST_ACCESS_RO or VHOST_ACCESS_WO
 * @returns bytes consumed
 * @throws EINVAL when an address is not mapped, EPERM when it is mapped for the other direction
 */
export function transfer(cache: ExtentCache, iov: VringhKiov, bytes: number, want: number, piece: Piece): number {
  let skip = iov.consumed;
  let done = 0;
  for (const { lo, hi, len } of iov.segments) {
    const from = Math.min(skip, len);
    skip -= from;
    const whole = Math.min(len - from, bytes - done);
    if (whole <= 0) continue;
    if (reachFrom(cache, lo, hi, from, whole, want) < whole) each(cache, lo, hi, from, whole, want, NOTHING); // all is mapped, or none is copied
    each(cache, lo, hi, from, whole, want, (memory, at) => piece(memory, done + at));
    done += whole;
    iov.consumed += whole;
  }
  return done;
}

/** The stretches of memory behind `bytes` bytes that begin `from` bytes after an address, in order. */
function each(cache: ExtentCache, lo: number, hi: number, from: number, bytes: number, want: number, piece: Piece): void {
  for (let at = 0; at < bytes;) {
    const reach = reachFrom(cache, lo, hi, from + at, bytes - at, want);
    const { memory } = cache;
    if (reach === 0 || memory === null) throw refusal(cache.error, lo, hi, from + at);
    const remote = piece === NOTHING ? null : memory.remote;
    if (want === VHOST_ACCESS_RO) remote?.pull(cache.at, reach);
    piece(memory.u8.subarray(cache.at, cache.at + reach), at);
    if (want === VHOST_ACCESS_WO) remote?.push(cache.at, reach);
    at += reach;
  }
}

/** Bytes consumed only: nothing is translated. */
export function advance(iov: VringhKiov, bytes: number): undefined {
  const length = iov.segments.reduce((sum, { len }) => sum + len, 0);
  iov.consumed = Math.min(length, iov.consumed + bytes);
}

/** Bytes that can be used from an address on, 0 when it is refused: addresses are 64 bits, and do not wrap. */
function reachFrom(cache: ExtentCache, lo: number, hi: number, from: number, bytes: number, want: number): number {
  const sum = lo + from;
  const high = hi + Math.floor(sum / TWO_32);
  if (high < TWO_32) return cache.reach(sum >>> 0, high, bytes, want);
  cache.error = EINVAL;
  return 0;
}

function refusal(errno: number, lo: number, hi: number, from: number): KernelError {
  const where = `0x${((BigInt(hi) << 32n) + BigInt(lo + from)).toString(16)}`;
  return errno === EPERM
    ? new KernelError('EPERM', 'vringh.permission', `${where}: access not permitted`)
    : new KernelError('EINVAL', 'vringh.unmapped', `${where}: not mapped`);
}

/** Copy out. */
export function pull(cache: ExtentCache, iov: VringhKiov, dst: Uint8Array): number {
  return transfer(cache, iov, dst.length, VHOST_ACCESS_RO, (memory, at) => dst.set(memory, at));
}

/** Copy in. */
export function push(cache: ExtentCache, iov: VringhKiov, src: Uint8Array): number {
  return transfer(cache, iov, src.length, VHOST_ACCESS_WO, (memory, at) => memory.set(src.subarray(at, at + memory.length)));
}
