/** Reads pcap files of either byte order and time unit. */
import { LINKTYPE_ETHERNET, PCAP_MAGIC, PCAP_MAGIC_NSEC, pcap_file_header, pcap_packet_header } from '@vdpalab/uapi';

/** Longest packet believed, in bytes: more is a damaged file. */
const PACKET_MAX = 0x10_0000;
const VERSION_MAJOR = 2;

/** One packet of a capture. */
export interface PcapPacket {
  readonly seconds: number;
  readonly nanoseconds: number;
  /** Bytes on the wire; more than `bytes.length` when the capture cut it. */
  readonly length: number;
  /** A view of the file. */
  readonly bytes: Uint8Array;
}

/** What is wrong with a capture file, and where. */
export class PcapError extends Error {
  /** Byte offset in the file. */
  readonly offset: number;
  /** Packets before the damage. */
  readonly packets: readonly PcapPacket[];

  constructor(offset: number, text: string, packets: readonly PcapPacket[]) {
    super(`pcap: byte ${offset}: ${text}`);
    this.name = 'PcapError';
    this.offset = offset;
    this.packets = packets;
  }
}

/**
 * Read a capture of Ethernet frames.
 *
 * @throws PcapError when the file is not one, is cut short or damaged
 */
export function readPcap(file: Uint8Array): readonly PcapPacket[] {
  const packets: PcapPacket[] = [];
  const bad = (offset: number, text: string): PcapError => new PcapError(offset, text, packets);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < pcap_file_header.size) {
    throw bad(file.length, `file header of ${pcap_file_header.size} bytes, the file ends after ${file.length}`);
  }
  const format = formatOf(view);
  if (format === null) throw bad(0, `magic number 0x${view.getUint32(0, true).toString(16)} is not pcap's`);
  const { little, unit } = format;
  const major = view.getUint16(4, little);
  if (major !== VERSION_MAJOR) throw bad(4, `version ${major}, not ${VERSION_MAJOR}`);
  // The upper bits say whether frames carry an FCS.
  const linktype = view.getUint32(20, little) & 0xffff;
  if (linktype !== LINKTYPE_ETHERNET) throw bad(20, `link type ${linktype}, not Ethernet (${LINKTYPE_ETHERNET})`);

  const head = pcap_packet_header.size;
  for (let at = pcap_file_header.size; at < file.length; ) {
    if (at + head > file.length) throw bad(at, `packet header of ${head} bytes, ${file.length - at} are left`);
    const fraction = view.getUint32(at + 4, little);
    const kept = view.getUint32(at + 8, little);
    const length = view.getUint32(at + 12, little);
    if (fraction * unit >= 1e9) throw bad(at + 4, `fraction ${fraction} of a second is more than a second`);
    if (kept > PACKET_MAX) throw bad(at + 8, `packet of ${kept} bytes, more than ${PACKET_MAX}`);
    if (kept > length) throw bad(at + 8, `packet of ${kept} bytes captured of ${length}`);
    if (at + head + kept > file.length) throw bad(at + head, `packet of ${kept} bytes, ${file.length - at - head} are left`);
    packets.push({
      seconds: view.getUint32(at, little), nanoseconds: fraction * unit, length,
      bytes: file.subarray(at + head, at + head + kept),
    });
    at += head + kept;
  }
  return packets;
}

/** Byte order, and nanoseconds of a timestamp's unit. */
function formatOf(view: DataView): { readonly little: boolean; readonly unit: number } | null {
  for (const little of [true, false]) {
    const magic = view.getUint32(0, little);
    if (magic === PCAP_MAGIC) return { little, unit: 1000 };
    if (magic === PCAP_MAGIC_NSEC) return { little, unit: 1 };
  }
  return null;
}
