/** Transmit queues: from chains in a ring to frames on the wire. */
import { VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_NONE } from '@vdpalab/uapi';
import { Copier } from '@vdpalab/vring';
import type { FrameSink, Runs } from '@vdpalab/vring';
import type { NetPort } from '../net/port.ts';
import type { NetCounters } from './counters.ts';

/** Chains taken from one queue before others have their turn. */
export const TX_BUDGET = 64;
/** Bytes of an Ethernet header, and of a VLAN tag behind it. */
export const ETH_HEADER = 14;
export const VLAN_TAG = 4;

/** Where frames go, and what is checked on their way. */
export interface TransmitPath {
  /** `null` while the link is down. */
  readonly port: () => NetPort | null;
  /** Bytes of the virtio-net header in front of each frame. */
  readonly headerSize: () => number;
  /** Trace id of a frame's event, 0 when tracing is off. */
  readonly trace: (length: number) => number;
}

/** Copies frames out of buffers and sends them. */
export class Transmitter implements FrameSink {
  /** Bytes read from buffers since {@link takeRead} was called last. */
  private read = 0;
  private readonly longest: number;
  private readonly path: TransmitPath;
  private readonly counters: NetCounters;
  private readonly copier = new Copier();

  /** @param mtu bytes */
  constructor(mtu: number, path: TransmitPath, counters: NetCounters) {
    this.longest = mtu + ETH_HEADER + VLAN_TAG;
    this.path = path;
    this.counters = counters;
  }

  /** Bytes read by DMA since the last call. */
  takeRead(): number {
    const { read } = this;
    this.read = 0;
    return read;
  }

  /** Send one frame, or drop it with a count. @returns false when it must wait: too many frames are in flight */
  frame(runs: Runs): boolean {
    const { counters, path } = this;
    const header = path.headerSize();
    const length = runs.bytes - header;
    if (length < 0) {
      counters.txBadHeader++;
      return true;
    }
    if (length < ETH_HEADER || length > this.longest) {
      counters.txBadLength++;
      return true;
    }
    // No offload is offered, so none may be asked for.
    if ((byteAt(runs, 0) & VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0 || byteAt(runs, 1) !== VIRTIO_NET_HDR_GSO_NONE) {
      counters.txBadHeader++;
      this.read += header;
      return true;
    }
    const port = path.port();
    if (port === null) {
      counters.txNoLink++;
      this.read += header;
      return true;
    }
    const { pool } = port;
    const frame = pool.take(length);
    if (frame < 0) {
      counters.txWaits++;
      return false;
    }
    let to = pool.offset(frame);
    let skip = header;
    for (let i = 0; i < runs.count; i++) {
      const size = runs.length[i]!;
      if (skip >= size) {
        skip -= size;
        continue;
      }
      this.copier.copy(pool.memory, to, runs.memory[i]!, runs.offset[i]! + skip, size - skip);
      to += size - skip;
      skip = 0;
    }
    this.read += header + length;
    counters.txFrames++;
    counters.txBytes += length;
    pool.cause[frame] = path.trace(length);
    port.send(frame);
    return true;
  }
}

/** One of the first bytes of a frame in pieces. */
function byteAt(runs: Runs, at: number): number {
  let left = at;
  for (let i = 0; i < runs.count; i++) {
    if (left < runs.length[i]!) return runs.memory[i]!.u8[runs.offset[i]! + left]!;
    left -= runs.length[i]!;
  }
  return 0;
}
