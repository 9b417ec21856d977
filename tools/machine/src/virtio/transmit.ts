/** Transmit queues: from chains in a ring to frames on the wire. */
import { VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_NONE } from '@vdpalab/uapi';
import { Copier } from '@vdpalab/vring';
import type { FrameSink, RingMemory, Runs } from '@vdpalab/vring';
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
  /** Whether events are traced. */
  readonly traced: () => boolean;
  /** Trace id of a frame's event. */
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
  private header = 0;
  private port: NetPort | null = null;
  private traced = false;

  /** @param mtu bytes */
  constructor(mtu: number, path: TransmitPath, counters: NetCounters) {
    this.longest = mtu + ETH_HEADER + VLAN_TAG;
    this.path = path;
    this.counters = counters;
  }

  /** A turn begins: what cannot change in it is asked for once. */
  begin(): undefined {
    this.header = this.path.headerSize();
    this.port = this.path.port();
    this.traced = this.path.traced();
  }

  /** Bytes read by DMA since the last call. */
  takeRead(): number {
    const { read } = this;
    this.read = 0;
    return read;
  }

  /** Send one frame, or drop it with a count. @returns false when it must wait: too many frames are in flight */
  frame(runs: Runs): boolean {
    const { counters, header, port } = this;
    const length = runs.bytes - header;
    if (length < 0) {
      counters.txBadHeader++;
      return true;
    }
    if (length < ETH_HEADER || length > this.longest) {
      counters.txBadLength++;
      return true;
    }
    if (asksForOffload(runs)) {
      counters.txBadHeader++;
      this.read += header;
      return true;
    }
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
    const to = pool.offset(frame);
    if (runs.count === 1) this.copier.copy(pool.memory, to, runs.memory[0]!, runs.offset[0]! + header, length);
    else this.gather(runs, pool.memory, to);
    this.read += header + length;
    counters.txFrames++;
    counters.txBytes += length;
    if (this.traced) pool.cause[frame] = this.path.trace(length);
    port.send(frame);
    return true;
  }

  /** Copy what is behind the header, out of pieces. */
  private gather(runs: Runs, memory: RingMemory, at: number): undefined {
    let to = at;
    let skip = this.header;
    for (let i = 0; i < runs.count; i++) {
      const size = runs.length[i]!;
      if (skip >= size) {
        skip -= size;
        continue;
      }
      this.copier.copy(memory, to, runs.memory[i]!, runs.offset[i]! + skip, size - skip);
      to += size - skip;
      skip = 0;
    }
  }
}

/** No offload is offered, so none may be asked for: the header's first bytes are flags and gso_type. */
function asksForOffload(runs: Runs): boolean {
  if (runs.length[0]! < 2) return offload(byteAt(runs, 0), byteAt(runs, 1));
  const { u8 } = runs.memory[0]!;
  const at = runs.offset[0]!;
  return offload(u8[at]!, u8[at + 1]!);
}

function offload(flags: number, gsoType: number): boolean {
  return (flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0 || gsoType !== VIRTIO_NET_HDR_GSO_NONE;
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
