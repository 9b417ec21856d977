/** DPDK's testpmd as a front-end: a real guest driver, in another process, on a device of the lab. */
import { hostAvailable } from '@vdpalab/libc';
import { covers } from '@vdpalab/testing';
import { describe, expect, test } from 'vitest';
import { framesOutside, injectOutside, startBackEnd, type BackEnd } from '../support/vhost-user.ts';
import { Testpmd, testpmdPresent } from '../support/testpmd.ts';

const required = process.env['VDPALAB_REQUIRE_REAL'] === '1';

test.runIf(testpmdPresent || required)('dpdk-testpmd is there', () => {
  expect(testpmdPresent && hostAvailable()).toBe(true);
});

/** A frame that says its number, in bytes that none other has. */
function numbered(n: number, length: number): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, i) => (i * 31 + n * 17 + (n >> 5)) & 0xff);
  bytes.set([0x02, 0, 0, 0, 0, 0x77, 0x02, 0, 0, 0, 0, 0x66, 0x88, 0xb5]);
  new DataView(bytes.buffer).setUint32(14, n);
  return bytes;
}

/** What is wrong with a frame that testpmd's txonly sends: IPv4 and UDP over it, with a checksum. */
function faultOf(frame: Uint8Array, length: number): string | null {
  if (frame.length !== length) return `${frame.length} bytes`;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  if (view.getUint16(12) !== 0x0800) return `type ${view.getUint16(12)}`;
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  if (sum !== 0xffff) return `IP checksum ${sum.toString(16)}`;
  if (view.getUint16(16) !== length - 14) return `IP length ${view.getUint16(16)}`;
  return view.getUint16(38) === length - 34 ? null : `UDP length ${view.getUint16(38)}`;
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
  test.each([64, 1500])('txonly: every frame of %i bytes that comes out is whole', async (length) => {
    covers('1.6.2', '1.6.3');
    const back = await startBackEnd();
    const pmd = new Testpmd(back.path, ['--forward-mode=txonly', `--txpkts=${length}`, '--auto-start']);
    const frames = await framesOutside(back, 2000);
    await pmd.quit();
    const sent = pmd.count('TX-packets');
    frames.push(...await framesOutside(back, sent - frames.length));
    expect(frames.map((frame) => faultOf(frame, length)).filter((fault) => fault !== null)).toEqual([]);
    expect(frames).toHaveLength(sent);
    expect(await back.close()).toEqual([]);
  });

  test('rxonly: it counts what was sent to it', async () => {
    const back = await startBackEnd();
    const pmd = new Testpmd(back.path, ['--forward-mode=rxonly', '-i']);
    pmd.type('start\n');
    await pmd.forwarding();
    for (let n = 0; n < 5; n++) {
      await injectOutside(back, Array.from({ length: 128 }, (_, i) => numbered(n * 128 + i, 64 + 280 * n)));
      do {
        pmd.type('show port stats 0\n');
        await pmd.says(/RX-packets: \d+ .*\s+RX-errors/);
      } while (pmd.count('RX-packets') < 128 * (n + 1));
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
