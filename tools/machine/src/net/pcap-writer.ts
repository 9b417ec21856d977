/** Captures frames as a pcap file in memory. */
import {
  LINKTYPE_ETHERNET, PCAP_MAGIC, PCAP_MAGIC_NSEC, PCAP_VERSION_MAJOR, PCAP_VERSION_MINOR, pcap_file_header,
  pcap_packet_header,
} from '@vdpalab/uapi';
import type { NetPort } from './port.ts';

/** Largest packet kept unless the caller says otherwise, in bytes. */
export const SNAPLEN = 262_144;

export interface PcapOptions {
  /** Timestamps in nanoseconds instead of microseconds. */
  readonly nanoseconds?: boolean;
  /** Largest packet kept, in bytes; longer ones are cut. */
  readonly snaplen?: number;
}

/** Collects packets; {@link bytes} is the file. */
export class PcapWriter {
  /** Packets written. */
  packets = 0;
  private readonly snaplen: number;
  private readonly unit: number;
  private buffer = new Uint8Array(4096);
  private end = 0;

  constructor(options: PcapOptions = {}) {
    this.snaplen = options.snaplen ?? SNAPLEN;
    const nanoseconds = options.nanoseconds ?? true;
    this.unit = nanoseconds ? 1 : 1000;
    const header = this.room(pcap_file_header.size);
    header.setUint32(0, nanoseconds ? PCAP_MAGIC_NSEC : PCAP_MAGIC, true);
    header.setUint16(4, PCAP_VERSION_MAJOR, true);
    header.setUint16(6, PCAP_VERSION_MINOR, true);
    header.setUint32(16, this.snaplen, true);
    header.setUint32(20, LINKTYPE_ETHERNET, true);
  }

  /** Append a packet. @param at nanoseconds since the epoch of the capture */
  packet(at: number, bytes: Uint8Array): undefined {
    const kept = Math.min(bytes.length, this.snaplen);
    const header = this.room(pcap_packet_header.size + kept);
    header.setUint32(0, Math.floor(at / 1e9), true);
    header.setUint32(4, Math.floor((at % 1e9) / this.unit), true);
    header.setUint32(8, kept, true);
    header.setUint32(12, bytes.length, true);
    this.buffer.set(bytes.subarray(0, kept), this.end - kept);
    this.packets++;
  }

  /** The file so far, a copy. */
  bytes(): Uint8Array {
    return this.buffer.slice(0, this.end);
  }

  /** Append zeros. */
  private room(size: number): DataView {
    if (this.end + size > this.buffer.length) {
      const larger = new Uint8Array(Math.max(2 * this.buffer.length, this.end + size));
      larger.set(this.buffer.subarray(0, this.end));
      this.buffer = larger;
    }
    const at = this.end;
    this.end += size;
    return new DataView(this.buffer.buffer, at, size);
  }
}

/**
 * Write every frame that passes a port to a capture.
 *
 * @param now virtual time, in nanoseconds
 * @returns stops the capture
 */
export function capture(port: NetPort, writer: PcapWriter, now: () => number): () => undefined {
  const outer = port.tap;
  port.tap = (frame, at, direction) => {
    outer?.(frame, at, direction);
    writer.packet(now(), port.pool.bytes(frame));
  };
  return () => {
    port.tap = outer;
  };
}
