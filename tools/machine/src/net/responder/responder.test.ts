import { ringMemory } from '@vdpalab/vring';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { DeterministicScheduler } from '../../sched/scheduler.ts';
import { FRAME_MEMORY, FramePool } from '../frame-pool.ts';
import { InjectionPort } from '../injection.ts';
import { EthernetSwitch } from '../switch.ts';
import { checksum, put16, readPacket, tcpFrame, udpFrame } from './packet.ts';
import { Responder } from './responder.ts';

const ME = { mac: Uint8Array.of(0x52, 0x54, 0, 0, 0, 0xfe), ip: Uint8Array.of(10, 0, 0, 1) };
const PEER = { mac: Uint8Array.of(0x52, 0x54, 0, 0, 0, 9), ip: Uint8Array.of(10, 0, 0, 9) };
const BROADCAST = { mac: new Uint8Array(6).fill(0xff), ip: ME.ip };

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));

let sched: DeterministicScheduler;
let peer: InjectionPort;
let responder: Responder;

beforeEach(() => {
  sched = new DeterministicScheduler({ seed: 1 });
  const pool = new FramePool(ringMemory(new SharedArrayBuffer(FRAME_MEMORY)), 0);
  const lan = new EthernetSwitch('lan', sched, pool);
  peer = new InjectionPort(lan.attach('peer'));
  responder = new Responder(
    { name: 'host', mac: '52:54:00:00:00:fe', ip: '10.0.0.1', files: new Map(), capacity: 1024 }, lan.attach('host'), sched,
  );
});

async function ask(frame: Uint8Array): Promise<string[]> {
  peer.inject(frame);
  await sched.run();
  return peer.take().map(hex);
}

// Addresses and sums apart, what a Linux guest sends. The echo request carries 8 bytes.
const ARP = bytes('ffffffffffff 525400000009 0806 0001 0800 06 04 0001 525400000009 0a000009 000000000000 0a000001');
const ECHO = bytes(`5254000000fe 525400000009 0800 4500 0024 1234 4000 40 01 1499 0a000009 0a000001
  0800 53d9 0001 0002 6162636465666768`);

describe('Responder', () => {
  it('says where its address is, and is silent about others', async () => {
    expect(await ask(ARP)).toEqual([
      '525400000009 5254000000fe 0806 0001 0800 06 04 0002 5254000000fe 0a000001 525400000009 0a000009'.replaceAll(' ', ''),
    ]);
    expect(await ask(Uint8Array.from(ARP).fill(2, 41))).toEqual([]);
    expect(responder.counters).toMatchObject({ arp: 1, foreign: 1 });
  });

  it('answers an echo request with its bytes', async () => {
    const frame = fixed(ECHO);
    const [answer = ''] = await ask(frame);
    expect(answer.slice(0, 28)).toBe('5254000000095254000000fe0800');
    const ip = bytes(answer).subarray(14);
    expect(checksum(ip.subarray(0, 20))).toBe(0);
    expect(checksum(ip.subarray(20))).toBe(0);
    expect(hex(ip.subarray(12, 20))).toBe('0a0000010a000009');
    expect(hex(ip.subarray(24))).toBe('000100026162636465666768');
    expect(ip[20]).toBe(0);
  });

  it('takes padding behind a packet for padding', async () => {
    const [answer = ''] = await ask(Uint8Array.from([...fixed(ECHO), ...new Uint8Array(10)]));
    expect(answer.length / 2).toBe(ECHO.length);
  });

  it('counts what is not for it, contradicts itself, or was changed on its way, and answers none of it', async () => {
    const good = fixed(ECHO);
    const changed = (at: number, to: number): Uint8Array => {
      const frame = Uint8Array.from(good);
      frame[at] = to;
      return frame;
    };
    const foreign = [changed(5, 1), reheaded(changed(20, 0x20)), reheaded(changed(33, 2)), fixed(changed(34, 13)), reheaded(changed(23, 132)), changed(12, 0x86)];
    const malformed = [good.subarray(0, 30), changed(14, 0x65), changed(14, 0x44), changed(17, 200), changed(17, 19), ARP.subarray(0, 40)];
    const corrupt = [changed(26, 1), changed(45, 0)];
    for (const frame of [...foreign, ...malformed, ...corrupt]) expect(await ask(frame)).toEqual([]);
    expect(responder.counters).toEqual({ arp: 0, echo: 0, udp: 0, tcp: 0, foreign: foreign.length, malformed: malformed.length, corrupt: corrupt.length });
  });

  it('takes a datagram without a checksum, and none with a wrong one', async () => {
    const frame = udpFrame(PEER, 2000, ME, 69, bytes('0001 78 00 6f63746574 00'));
    expect(await ask(frame)).toHaveLength(1);
    const wrong = Uint8Array.from(frame);
    wrong[41]! ^= 1;
    expect(await ask(wrong)).toEqual([]);
    expect(await ask(wrong.fill(0, 40, 42))).toHaveLength(1);
    expect(responder.counters).toMatchObject({ udp: 2, corrupt: 1 });
  });

  it('finds a segment size among other options, and takes options that make no sense for none', () => {
    const withOptions = (options: string): Uint8Array => {
      const frame = tcpFrame(PEER, ME, { fromPort: 1, toPort: 2, seq: 0, ack: 0, flags: 2, window: 0, mss: null, payload: bytes(options) });
      frame[46] = (5 + options.length / 8) << 4;
      put16(frame, 50, 0);
      put16(frame, 50, checksum(frame.subarray(34), 2 * 0x0a00 + 10 + 6 + 20 + options.length / 2));
      return frame;
    };
    const mss = (options: string): unknown => (readPacket(withOptions(options), ME) as { segment: { mss: number | null } }).segment.mss;
    expect(mss('0101 0402 0204 05b4'.replaceAll(' ', ''))).toBe(1460);
    expect(mss('03000204 05b40000'.replaceAll(' ', ''))).toBeNull();
    expect(mss('0000020405b40000'.replaceAll(' ', ''))).toBeNull();
    expect(mss('01010204')).toBeNull();
  });

  it('answers no broadcast but ARP, and nobody on a port without a service', async () => {
    expect(await ask(udpFrame(PEER, 2000, BROADCAST, 69, bytes('0001 78 00 6f63746574 00')))).toEqual([]);
    expect(await ask(udpFrame(PEER, 2000, ME, 53, bytes('0001 78 00 6f63746574 00')))).toEqual([]);
  });

  it('reads what it writes, any payload, and lives through any frame', async () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 1472 }), fc.nat(0xffff), fc.nat(0xffff), (payload, fromPort, toPort) => {
      expect(readPacket(udpFrame(PEER, fromPort, ME, toPort, payload), ME)).toEqual({ kind: 'udp', from: PEER, fromPort, toPort, payload });
    }));
    const u32 = fc.nat(0xffff_ffff);
    const port = fc.nat(0xffff);
    fc.assert(fc.property(fc.record({
      fromPort: port, toPort: port, seq: u32, ack: u32, flags: fc.nat(63), window: port, mss: fc.option(port), payload: fc.uint8Array({ maxLength: 1460 }),
    }), (segment) => {
      expect(readPacket(tcpFrame(PEER, ME, segment), ME)).toEqual({ kind: 'tcp', from: PEER, segment });
    }));
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), fc.constantFrom('0800', '0806'), async (noise, sums, type) => {
      const frame = Uint8Array.from([...ME.mac, ...PEER.mac, ...bytes(type), 0x45, ...noise]);
      await ask(sums && frame.length > 42 ? fixed(frame) : frame);
    }));
  });
});

/** With the checksum of its IPv4 header. */
function reheaded(frame: Uint8Array): Uint8Array {
  const out = Uint8Array.from(frame);
  put16(out, 24, 0);
  put16(out, 24, checksum(out.subarray(14, 34)));
  return out;
}

/** With that, and ICMP's. */
function fixed(frame: Uint8Array): Uint8Array {
  const out = reheaded(frame);
  put16(out, 36, 0);
  put16(out, 36, checksum(out.subarray(34)));
  return out;
}
