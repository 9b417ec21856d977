import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PcapError, readPcap } from './pcap-reader.ts';
import { PcapWriter } from './pcap-writer.ts';

function u32(...words: readonly number[]): number[] {
  return words.flatMap((w) => [w & 0xff, (w >>> 8) & 0xff, (w >>> 16) & 0xff, w >>> 24]);
}

const HEADER = [...u32(0xa1b2c3d4), 2, 0, 4, 0, ...u32(0, 0, 65535, 1)];

function failure(file: readonly number[]): PcapError {
  try {
    readPcap(Uint8Array.from(file));
  } catch (error) {
    if (error instanceof PcapError) return error;
    throw error;
  }
  throw new Error('read without complaint');
}

describe('PcapWriter', () => {
  it('writes a file byte for byte as the format says', () => {
    const writer = new PcapWriter({ nanoseconds: false });
    writer.packet(3_000_007_000, Uint8Array.of(1, 2, 3));
    expect([...writer.bytes()]).toEqual([
      ...u32(0xa1b2c3d4), 2, 0, 4, 0, ...u32(0, 0, 262_144, 1), ...u32(3, 7, 3, 3), 1, 2, 3,
    ]);
  });

  it('cuts packets at the snap length and keeps their true length', () => {
    const writer = new PcapWriter({ snaplen: 4 });
    writer.packet(0, new Uint8Array(10).fill(9));
    const [packet] = readPcap(writer.bytes());
    expect([packet!.length, [...packet!.bytes]]).toEqual([10, [9, 9, 9, 9]]);
  });

  it('gives back what was written, whatever it was', () => {
    fc.assert(fc.property(
      fc.array(fc.record({ at: fc.nat(2 ** 31 - 1), bytes: fc.uint8Array({ maxLength: 300 }) }), { maxLength: 40 }),
      (packets) => {
        const writer = new PcapWriter();
        for (const { at, bytes } of packets) writer.packet(at, bytes);
        const read = readPcap(writer.bytes());
        expect(read.map((p) => [p.seconds * 1e9 + p.nanoseconds, [...p.bytes]]))
          .toEqual(packets.map((p) => [p.at, [...p.bytes]]));
      },
    ));
  });
});

describe('readPcap', () => {
  it('reads big-endian files and microseconds', () => {
    const be = (w: number): number[] => u32(w).reverse();
    const file = [...be(0xa1b2c3d4), 0, 2, 0, 4, ...be(0), ...be(0), ...be(65535), ...be(1), ...be(5), ...be(6), ...be(2), ...be(60), 7, 8];
    expect(readPcap(Uint8Array.from(file))).toEqual([
      { seconds: 5, nanoseconds: 6000, length: 60, bytes: Uint8Array.of(7, 8) },
    ]);
  });

  it('reads a file without packets', () => {
    expect(readPcap(Uint8Array.from(HEADER))).toEqual([]);
  });

  it('says where a file is cut short, and keeps the packets before', () => {
    const one = [...u32(1, 2, 3, 3), 4, 5, 6];
    const error = failure([...HEADER, ...one, ...u32(1, 2, 9, 9), 1, 2]);
    expect(error.message).toBe('pcap: byte 59: packet of 9 bytes, 2 are left');
    expect(error.packets.map((p) => [...p.bytes])).toEqual([[4, 5, 6]]);
    expect(failure([...HEADER, ...one, 1, 2, 3]).message).toBe('pcap: byte 43: packet header of 16 bytes, 3 are left');
    expect(failure(HEADER.slice(0, 10)).message).toBe('pcap: byte 10: file header of 24 bytes, the file ends after 10');
  });

  it('refuses what is no capture of Ethernet frames', () => {
    expect(failure([...u32(0xdeadbeef), ...HEADER.slice(4)]).message).toBe('pcap: byte 0: magic number 0xdeadbeef is not pcap\'s');
    expect(failure([...HEADER.slice(0, 4), 3, ...HEADER.slice(5)]).message).toBe('pcap: byte 4: version 3, not 2');
    expect(failure([...HEADER.slice(0, 20), ...u32(101)]).message).toBe('pcap: byte 20: link type 101, not Ethernet (1)');
  });

  it('refuses lengths and times that cannot be', () => {
    expect(failure([...HEADER, ...u32(1, 1_000_000, 0, 0)]).offset).toBe(28);
    expect(failure([...HEADER, ...u32(1, 2, 0x7fff_ffff, 0x7fff_ffff)]).offset).toBe(32);
    expect(failure([...HEADER, ...u32(1, 2, 3, 2), 1, 2, 3]).offset).toBe(32);
  });

  it('reads or refuses any bytes, and never reads beyond them', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (tail, header) => {
      const file = Uint8Array.from(header ? [...HEADER, ...tail] : tail);
      try {
        for (const packet of readPcap(file)) expect(packet.bytes.length).toBeLessThanOrEqual(file.length);
      } catch (error) {
        expect(error).toBeInstanceOf(PcapError);
      }
    }));
  });
});
