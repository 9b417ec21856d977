/**
 * Capture files: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng).
 *
 * Not Linux, but the format in which packets leave the lab. Written little endian; a reader tells the
 * byte order from the magic numbers.
 */
import { defineStruct, s64, u16, u32 } from './struct.ts';
import type { ValueOf } from './struct.ts';

// pcap_file_header.magic: timestamps in microseconds or nanoseconds.
export const PCAP_MAGIC = 0xa1b2c3d4;
export const PCAP_MAGIC_NSEC = 0xa1b23c4d;
export const PCAP_VERSION_MAJOR = 2;
export const PCAP_VERSION_MINOR = 4;

// Link types.
export const LINKTYPE_NULL = 0;
export const LINKTYPE_ETHERNET = 1;
export const LINKTYPE_RAW = 101;
export const LINKTYPE_LINUX_SLL = 113;
export const LINKTYPE_USER0 = 147;
export const LINKTYPE_NETLINK = 253;

/** `struct pcap_file_header`: start of a pcap file; `snaplen` is the largest packet kept, in bytes. */
export const pcap_file_header = defineStruct('pcap_file_header', {
  magic: u32,
  version_major: u16,
  version_minor: u16,
  thiszone: u32,
  sigfigs: u32,
  snaplen: u32,
  linktype: u32,
});
/** A `struct pcap_file_header` as a plain object. */
export type PcapFileHeader = ValueOf<typeof pcap_file_header>;

/** Head of a packet in a pcap file; `ts_frac` in the unit that the magic number says. */
export const pcap_packet_header = defineStruct('pcap_packet_header', {
  ts_sec: u32,
  ts_frac: u32,
  caplen: u32,
  len: u32,
});
/** The head of a packet in a pcap file as a plain object. */
export type PcapPacketHeader = ValueOf<typeof pcap_packet_header>;

// pcapng: block types.
export const PCAPNG_BLOCK_INTERFACE_DESCRIPTION = 0x00000001;
export const PCAPNG_BLOCK_NAME_RESOLUTION = 0x00000004;
export const PCAPNG_BLOCK_INTERFACE_STATISTICS = 0x00000005;
export const PCAPNG_BLOCK_ENHANCED_PACKET = 0x00000006;
export const PCAPNG_BLOCK_CUSTOM = 0x00000bad;
export const PCAPNG_BLOCK_SECTION_HEADER = 0x0a0d0d0a;

export const PCAPNG_BYTE_ORDER_MAGIC = 0x1a2b3c4d;
export const PCAPNG_VERSION_MAJOR = 1;
export const PCAPNG_VERSION_MINOR = 0;

// pcapng: options of every block, then of sections, interfaces and packets.
export const PCAPNG_OPT_ENDOFOPT = 0;
export const PCAPNG_OPT_COMMENT = 1;
export const PCAPNG_SHB_HARDWARE = 2;
export const PCAPNG_SHB_OS = 3;
export const PCAPNG_SHB_USERAPPL = 4;
export const PCAPNG_IF_NAME = 2;
export const PCAPNG_IF_DESCRIPTION = 3;
export const PCAPNG_IF_MACADDR = 6;
export const PCAPNG_IF_SPEED = 8;
export const PCAPNG_IF_TSRESOL = 9;
export const PCAPNG_EPB_FLAGS = 2;
export const PCAPNG_EPB_DROPCOUNT = 4;
export const PCAPNG_EPB_PACKETID = 5;
export const PCAPNG_EPB_QUEUE = 6;

// PCAPNG_EPB_FLAGS: direction, in the two lowest bits.
export const PCAPNG_EPB_INBOUND = 1;
export const PCAPNG_EPB_OUTBOUND = 2;

/** Head of every pcapng block; `total_length` in bytes, repeated at the block's end. */
export const pcapng_block_header = defineStruct('pcapng_block_header', {
  type: u32,
  total_length: u32,
});
/** The head of a pcapng block as a plain object. */
export type PcapngBlockHeader = ValueOf<typeof pcapng_block_header>;

/** Body of a section header block; `section_length` is -1 when unknown; options follow. */
export const pcapng_section_header = defineStruct('pcapng_section_header', {
  byte_order_magic: u32,
  major_version: u16,
  minor_version: u16,
  section_length: s64,
});
/** The body of a section header block as a plain object. */
export type PcapngSectionHeader = ValueOf<typeof pcapng_section_header>;

/** Body of an interface description block; options follow. */
export const pcapng_interface_description = defineStruct('pcapng_interface_description', {
  linktype: u16,
  reserved: u16,
  snaplen: u32,
});
/** The body of an interface description block as a plain object. */
export type PcapngInterfaceDescription = ValueOf<typeof pcapng_interface_description>;

/** Body of an enhanced packet block; the packet, padded to four bytes, and options follow. */
export const pcapng_enhanced_packet = defineStruct('pcapng_enhanced_packet', {
  interface_id: u32,
  timestamp_high: u32,
  timestamp_low: u32,
  captured_len: u32,
  original_len: u32,
});
/** The body of an enhanced packet block as a plain object. */
export type PcapngEnhancedPacket = ValueOf<typeof pcapng_enhanced_packet>;
