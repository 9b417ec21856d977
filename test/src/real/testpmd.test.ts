/** DPDK's testpmd as a front-end: a real guest driver, in another process, on a device of the lab. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostAvailable } from '@vdpalab/libc';
import { EthernetSwitch, PcapWriter, readPcap, type NetPort } from '@vdpalab/machine';
import { covers } from '@vdpalab/testing';
import { describe, expect, test } from 'vitest';
import { framesOutside, injectOutside, startBackEnd, type BackEnd } from '../support/vhost-user.ts';
import { Testpmd, testpmdPresent } from '../support/testpmd.ts';

const required = process.env['VDPALAB_REQUIRE_REAL'] === '1';

test.runIf(testpmdPresent || required)('dpdk-testpmd is there', () => {
  expect(testpmdPresent && hostAvailable()).toBe(true);
});

const hex = (n: number): string => n.toString(16).padStart(2, '0');

/** A frame that says its number, in bytes that none other has. */
function numbered(n: number, length: number): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, i) => (i * 31 + n * 17 + (n >> 5)) & 0xff);
  bytes.set([0x02, 0, 0, 0, 0, 0x77, 0x02, 0, 0, 0, 0, 0x66, 0x88, 0xb5]);
  new DataView(bytes.buffer).setUint32(14, n);
  return bytes;
}

/** Address of the front-end, and where testpmd sends to. */
const OWN = [0x02, 0, 0, 0, 0, 0x55] as const;
const PEER = [0x02, 0, 0, 0, 0, 0] as const;

/** The frame that txonly makes, all of it: Ethernet, IPv4 from 198.18.0.1 to .2, UDP from port 9 to 9, zeros. @see DPDK app/test-pmd/txonly.c */
function txonlyFrame(length: number): Uint8Array {
  const frame = new Uint8Array(length);
  const view = new DataView(frame.buffer);
  frame.set([...PEER, ...OWN, 0x08, 0x00, 0x45]);
  view.setUint16(16, length - 14);
  frame.set([64, 17], 22); // TTL, UDP
  frame.set([198, 18, 0, 1, 198, 18, 0, 2], 26);
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += view.getUint16(at);
  view.setUint16(24, ~(sum + (sum >>> 16)));
  view.setUint16(34, 9);
  view.setUint16(36, 9);
  view.setUint16(38, length - 34);
  return frame;
}

/** Takes the frames that come out, and compares every byte of each with what it must be: there are millions. */
class Comparison {
  /** Frames that came out. */
  count = 0;
  /** The first that were not as expected. */
  readonly wrong: string[] = [];
  readonly #port: NetPort;
  #reached: (() => void) | null = null;

  constructor({ world, outside }: BackEnd, expected: Uint8Array) {
    const sw0 = world.lab.pci.networks.get('sw0');
    if (!(sw0 instanceof EthernetSwitch)) throw new Error('sw0 is no switch');
    outside.port.unplug(); // it would keep them all
    this.#port = sw0.attach('comparison');
    this.#port.receiver = ({ pool }) => {
      for (let frame = this.#port.next(); frame >= 0; frame = this.#port.next()) {
        const bytes = pool.bytes(frame);
        if (!same(bytes, expected) && this.wrong.length < 3) this.wrong.push(`frame ${this.count}: ${Buffer.from(bytes).toString('hex')}`);
        this.count++;
        pool.release(frame);
      }
      this.#reached?.();
    };
  }

  /** Wait for this many frames. */
  async until(count: number): Promise<void> {
    while (this.count < count) {
      await new Promise<void>((resolve) => {
        this.#reached = resolve;
      });
    }
  }

  close(): void {
    this.#port.unplug();
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Feed testpmd's io forwarding by windows, and compare each frame that comes back. */
async function echo(back: BackEnd, count: number, length: number, window: number): Promise<void> {
  for (let n = 0; n < count; n += window) {
    const frames = Array.from({ length: Math.min(window, count - n) }, (_, i) => numbered(n + i, length));
    await injectOutside(back, frames);
    expect(await framesOutside(back, frames.length)).toEqual(frames);
  }
}

describe.runIf(testpmdPresent && hostAvailable())('testpmd on a vDPA device', { timeout: 180_000 }, () => {
  test.each([64, 1500])('txonly: every byte of every frame of %i bytes is as testpmd makes it', async (length) => {
    covers('1.6.2', '1.6.3');
    const back = await startBackEnd();
    const comparison = new Comparison(back, txonlyFrame(length));
    const pmd = new Testpmd(back.path, ['--forward-mode=txonly', `--txpkts=${length}`, '--auto-start'], ['--vdev', `net_virtio_user0,path=${back.path},mac=${OWN.map(hex).join(':')}`]);
    await comparison.until(2000);
    await pmd.quit();
    await comparison.until(pmd.count('TX-packets'));
    expect(comparison.wrong).toEqual([]);
    expect(comparison.count).toBe(pmd.count('TX-packets'));
    comparison.close();
    expect(await back.close()).toEqual([]);
  });

  // testpmd itself looks at no payload. Its pcap driver does not either, but it reads and writes them: what it replays must
  // come out of the device, and what the front-end has received is in its capture.
  test.each([['one buffer', []], ['several small buffers', ['--mbuf-size=640']]])('io to a capture: every byte of what is sent and of what is received, in %s each', async (_name, options) => {
    covers('1.6.3');
    const back = await startBackEnd();
    const folder = mkdtempSync(join(tmpdir(), 'testpmd-'));
    const [replayed, captured] = [join(folder, 'in.pcap'), join(folder, 'out.pcap')];
    // No more than a ring of 256 descriptors holds: testpmd drops what finds no room.
    const mixed = (from: number): Uint8Array[] => Array.from({ length: 60 }, (_, i) => numbered(from + i, 60 + ((i * 397) % 1455)));
    const [there, here] = [mixed(0), mixed(1000)];
    const writer = new PcapWriter();
    for (const [n, frame] of there.entries()) writer.packet(n, frame);
    writeFileSync(replayed, writer.bytes());
    const pmd = new Testpmd(back.path, ['--forward-mode=io', '-i', '--disable-device-start', ...options], ['--vdev', `net_virtio_user0,path=${back.path}`, '--vdev', `net_pcap0,rx_pcap=${replayed},tx_pcap=${captured}`]);
    pmd.type('port config 0 rx_offload scatter on\nport config 0 tx_offload multi_segs on\nport start all\nstart\n');
    expect(await framesOutside(back, there.length)).toEqual(there);
    await injectOutside(back, here);
    await pmd.received(here.length);
    await pmd.quit();
    expect(readPcap(readFileSync(captured)).map(({ bytes }) => Uint8Array.from(bytes))).toEqual(here);
    rmSync(folder, { recursive: true });
    expect(await back.close()).toEqual([]);
  });

  test('rxonly: it counts what was sent to it', async () => {
    const back = await startBackEnd();
    const pmd = new Testpmd(back.path, ['--forward-mode=rxonly', '-i']);
    pmd.type('start\n');
    await pmd.forwarding();
    for (let n = 0; n < 5; n++) {
      await injectOutside(back, Array.from({ length: 128 }, (_, i) => numbered(n * 128 + i, 64 + 280 * n)));
      await pmd.received(128 * (n + 1));
    }
    await pmd.quit();
    expect(pmd.count('RX-packets')).toBe(640);
    expect(await back.close()).toEqual([]);
  });

  test('io: every byte of every frame comes back', async () => {
    covers('1.6.3');
    const back = await startBackEnd();
    const pmd = new Testpmd(back.path, ['--forward-mode=io', '--auto-start']);
    await pmd.forwarding();
    await echo(back, 600, 64, 200);
    await echo(back, 400, 1514, 200);
    await pmd.quit();
    expect(await back.close()).toEqual([]);
  });

  test('another follows one that quits, one that is killed, and one that is killed in full flight', async () => {
    covers('3.1.4', '1.6.5');
    const back = await startBackEnd();
    for (let n = 0; n < 2; n++) {
      const one = new Testpmd(back.path, ['--forward-mode=io', '--auto-start']);
      await one.forwarding();
      await echo(back, 64, 200, 64);
      if (n === 0) await one.quit();
      else one.kill();
      await one.exited;
    }
    const flood = new Testpmd(back.path, ['--forward-mode=txonly', '--auto-start']);
    await framesOutside(back, 1000);
    flood.kill();
    await flood.exited;
    back.outside.take();
    const last = new Testpmd(back.path, ['--forward-mode=io', '--auto-start']);
    await last.forwarding();
    back.outside.take();
    await echo(back, 64, 900, 64);
    await last.quit();
    expect(await back.close()).toEqual([]);
  });
});
