/** A scripted front-end against the whole chain: socket, library, vhost-vdpa, ifcvf, N3000, switch. */
import { hostAvailable } from '@vdpalab/libc';
import { covers } from '@vdpalab/testing';
import { FrontEndNet } from '@vdpalab/vhost-user';
import { describe, expect, test } from 'vitest';
import { framesOutside, injectOutside, numberedFrame as frame, startBackEnd } from '../support/vhost-user.ts';

describe.runIf(hostAvailable())('a front-end on a socket', () => {
  test.each([['inside a WebAssembly memory', false], ['beside one', true]])('passes frames both ways with its memory mapped %s', async (_where, beside) => {
    covers('1.6.3', '3.1.2', '3.1.3', '3.2.1', '3.2.7', '3.2.9');
    const back = await startBackEnd({ beside });
    const front = new FrontEndNet(back.path);
    await front.negotiate();
    await front.start();
    const sent = [frame(1), frame(2, 1514), frame(3, 300)];
    for (const bytes of sent) expect(front.send(bytes)).toBe(true);
    expect(await framesOutside(back, 3)).toEqual(sent);
    const back3 = [frame(4, 1514), frame(5), frame(6, 999)];
    await injectOutside(back, back3);
    expect(await front.frames(3)).toEqual(back3);
    expect(front.calls).toBeGreaterThan(0);
    expect(await front.stop()).toEqual([3, 3]);
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test('starts once, when all queues are ready, and stops at GET_VRING_BASE', async () => {
    covers('3.1.3', '3.1.4', '3.2.5');
    const back = await startBackEnd();
    const front = new FrontEndNet(back.path);
    await front.negotiate();
    const ready = (): number => back.log.filter((line) => line.includes('ready for processing')).length;
    expect(ready()).toBe(0);
    await front.start();
    expect(ready()).toBe(1);
    expect(front.send(frame(1))).toBe(true);
    await framesOutside(back, 1);
    expect(ready()).toBe(1);
    const { queues } = back.world.hardware(0);
    expect(queues.map((q) => q.enabled)).toEqual([true, true]);
    const bases = await front.stop();
    expect(queues.map((q) => q.enabled)).toEqual([false, false]);
    await front.start(bases);
    expect(ready()).toBe(2);
    expect(front.send(frame(2))).toBe(true);
    expect(await framesOutside(back, 1)).toEqual([frame(2)]);
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test('can be followed by another, whatever it left behind', async () => {
    const back = await startBackEnd();
    for (let n = 1; n <= 3; n++) {
      const front = new FrontEndNet(back.path, { gpa: n * 0x1000_0000 });
      await front.negotiate();
      await front.start();
      expect(front.send(frame(n))).toBe(true);
      expect(await framesOutside(back, 1)).toEqual([frame(n)]);
      front.close(); // without a word, as a process that is killed
    }
    expect(await back.close()).toEqual([]);
  });

  test('has the socket to itself: a second one is turned away', async () => {
    covers('3.1.14');
    const back = await startBackEnd();
    const front = new FrontEndNet(back.path);
    await front.negotiate();
    const second = new FrontEndNet(back.path);
    await second.client.closed();
    second.close();
    expect(back.log.at(-1)).toContain('one front-end at a time');
    await front.start();
    expect(front.send(frame(1))).toBe(true);
    expect(await framesOutside(back, 1)).toEqual([frame(1)]);
    front.close();
    expect(await back.close()).toEqual([]);
  });

  test('without protocol features its rings start enabled', async () => {
    covers('3.2.5');
    const back = await startBackEnd();
    const front = new FrontEndNet(back.path, { without: ~0n });
    await front.negotiate();
    expect(front.protocolFeatures).toBe(0n);
    front.features &= ~(1n << 30n);
    front.client.send(2, new Uint8Array(new BigUint64Array([front.features]).buffer));
    await front.start();
    await back.said(/ready for processing/);
    expect(front.send(frame(7))).toBe(true);
    expect(await framesOutside(back, 1)).toEqual([frame(7)]);
    front.close();
    expect(await back.close()).toEqual([]);
  });
});
