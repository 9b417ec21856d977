/** Messages no honest front-end sends: each is refused with its reason, nothing leaks, and the next front-end is served. */
import { closeSync, ftruncateSync, openSync, readdirSync } from 'node:fs';
import fc from 'fast-check';
import { eventfd, hostAvailable, memfd } from '@vdpalab/libc';
import { covers } from '@vdpalab/testing';
import {
  encodeMemReg, encodeMemTable, encodeMessage, encodeState, encodeU64, encodeVringAddr, FrontEndNet, REQUESTS, VHOST_USER_ADD_MEM_REG, VHOST_USER_GET_VRING_BASE,
  VHOST_USER_POSTCOPY_LISTEN, VHOST_USER_REM_MEM_REG, VHOST_USER_SET_FEATURES, VHOST_USER_SET_MEM_TABLE, VHOST_USER_SET_PROTOCOL_FEATURES,
  VHOST_USER_SET_VRING_ADDR, VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_ENABLE, VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_NUM, VhostUserClient,
  VHOST_USER_NET_SET_MTU,
} from '@vdpalab/vhost-user';
import { describe, expect, test } from 'vitest';
import { framesOutside, injectOutside, startBackEnd, type BackEnd } from '../support/vhost-user.ts';

const PAGE = 4096n;
const openFds = (): number => readdirSync('/proc/self/fd').length;
const frame = Uint8Array.from({ length: 64 }, (_, i) => [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x88, 0xb5][i] ?? i);

/** Whether an honest front-end is served, now. */
async function serves(back: BackEnd): Promise<void> {
  const front = new FrontEndNet(back.path);
  await front.negotiate();
  await front.start();
  front.send(frame);
  expect(await framesOutside(back, 1)).toEqual([frame]);
  front.close();
}

/** Wait until the library has seen off whoever has left. */
async function settled(back: BackEnd): Promise<void> {
  await back.inside(async () => {
    while (back.vhost.vids().length > 0) await back.world.lab.symbol('msleep')(1);
  });
}

describe.runIf(hostAvailable())('a hostile front-end', { timeout: 120_000 }, () => {
  test('is told no, by REPLY_ACK, whatever it asks for and cannot have', async () => {
    covers('3.2.2', '3.2.9', '3.2.11');
    const back = await startBackEnd();
    await serves(back);
    await settled(back);
    const before = openFds();
    const front = new FrontEndNet(back.path);
    await front.negotiate();
    const { client } = front;
    const region = { guestPhysAddr: 0n, memorySize: PAGE, userspaceAddr: 0x1000n, mmapOffset: 0n };
    const file = memfd('hostile', 8192);
    const event = eventfd();
    const none = openSync('/dev/null', 'r+');
    const table = (...entries: Partial<typeof region>[]): Uint8Array => encodeMemTable(entries.map((e) => ({ ...region, ...e })));
    const said = (rule: string): string => back.world.lab.refusals.refusals.at(-1)?.error.rule ?? `nothing, wanted ${rule}`;
    const refused = async (rule: string, request: number, payload: Uint8Array, fds: readonly number[] = []): Promise<void> => {
      expect([await client.ack(request, payload, fds), said(rule)], rule).toEqual([1n, rule]);
    };
    await refused('vhost_user.features.unknown', VHOST_USER_SET_FEATURES, encodeU64(~0n));
    await refused('vhost_user.protocol-features.unknown', VHOST_USER_SET_PROTOCOL_FEATURES, encodeU64(1n << 63n));
    await refused('vhost_user.mtu', VHOST_USER_NET_SET_MTU, encodeU64(67));
    await refused('vhost_user.request.unknown', VHOST_USER_POSTCOPY_LISTEN, new Uint8Array(0));
    await refused('vhost_user.vring.memory', VHOST_USER_SET_VRING_ADDR, encodeVringAddr({ index: 0, flags: 0, desc: 0n, avail: 0n, used: 0n, log: 0n }));
    await refused('vhost_user.memory.fds', VHOST_USER_SET_MEM_TABLE, table({}), []);
    await refused('vhost_user.memory.fds', VHOST_USER_SET_MEM_TABLE, table({}), [file, file]);
    await refused('vhost_user.memory.end', VHOST_USER_SET_MEM_TABLE, table({ memorySize: 3n * PAGE }), [file]);
    await refused('vhost_user.memory.end', VHOST_USER_SET_MEM_TABLE, table({ mmapOffset: 2n * PAGE }), [file]);
    await refused('vhost_user.memory.end', VHOST_USER_SET_MEM_TABLE, table({}), [none]);
    await refused('vhost_user.memory.address', VHOST_USER_SET_MEM_TABLE, table({ guestPhysAddr: 1n }), [file]);
    await refused('vhost_user.memory.number', VHOST_USER_SET_MEM_TABLE, table({ guestPhysAddr: -PAGE & 0xffff_ffff_ffff_ffffn }), [file]);
    await refused('vhost_user.memory.size', VHOST_USER_SET_MEM_TABLE, table({ memorySize: 0n }), [file]);
    await refused('vhost_user.memory.size', VHOST_USER_SET_MEM_TABLE, table({ memorySize: 100n }), [file]);
    await refused('vhost_user.memory.offset', VHOST_USER_SET_MEM_TABLE, table({ mmapOffset: 8n }), [file]);
    await refused('vhost_user.memory.overlap', VHOST_USER_SET_MEM_TABLE, table({ memorySize: 2n * PAGE }, { guestPhysAddr: PAGE }), [file, file]);
    await refused('vhost_user.memory.table', VHOST_USER_SET_MEM_TABLE, table({}).map((byte, i) => (i === 0 ? 2 : byte)), [file]);
    await refused('vhost_user.memory.regions', VHOST_USER_SET_MEM_TABLE, table({}).map((byte, i) => (i === 3 ? 2 : byte)), [file]);
    await refused('vhost_user.memory.region', VHOST_USER_REM_MEM_REG, encodeMemReg(region));
    expect(await client.ack(VHOST_USER_ADD_MEM_REG, encodeMemReg(region), [file])).toBe(0n);
    await refused('vhost_user.memory.overlap', VHOST_USER_ADD_MEM_REG, encodeMemReg(region), [file]);
    await refused('vhost_user.vring.index', VHOST_USER_SET_VRING_NUM, encodeState({ index: 2, num: 64 }));
    for (const num of [0, 3, 65536]) await refused('vhost_user.vring.num', VHOST_USER_SET_VRING_NUM, encodeState({ index: 0, num }));
    await refused('vhost_user.vring.align', VHOST_USER_SET_VRING_ADDR, encodeVringAddr({ index: 0, flags: 0, desc: 8n, avail: 0n, used: 0n, log: 0n }));
    await refused('vhost_user.vring.eventfd', VHOST_USER_SET_VRING_KICK, encodeU64(0), [none]);
    await refused('vhost_user.request.fd', VHOST_USER_SET_VRING_CALL, encodeU64(0));
    await refused('vhost_user.vring.nofd', VHOST_USER_SET_VRING_CALL, encodeU64(0x100), [event]);
    await refused('vhost_user.vring.kick', VHOST_USER_SET_VRING_KICK, encodeU64(0x100));
    await refused('vhost_user.vring.enable', VHOST_USER_SET_VRING_ENABLE, encodeState({ index: 0, num: 2 }));
    for (const fd of [file, event, none]) closeSync(fd);
    front.close();
    await serves(back);
    await settled(back);
    expect(openFds()).toBe(before);
    expect(await back.close()).toEqual([]);
  });

  test('without REPLY_ACK a refusal ends the connection', async () => {
    covers('3.2.9');
    const back = await startBackEnd();
    const client = new VhostUserClient(back.path);
    client.send(VHOST_USER_SET_VRING_NUM, encodeState({ index: 0, num: 5 }));
    await client.closed();
    const asking = new VhostUserClient(back.path);
    asking.send(VHOST_USER_GET_VRING_BASE, encodeState({ index: 77, num: 0 }));
    await asking.closed();
    await serves(back);
    expect(await back.close()).toEqual([]);
  });

  test('may send any bytes: it is heard or disconnected, and nothing of it stays', async () => {
    const back = await startBackEnd();
    await serves(back);
    await settled(back);
    const before = openFds();
    const request = fc.record({
      request: fc.oneof(fc.constantFrom(...REQUESTS.keys()), fc.nat()), flags: fc.constantFrom(1, 9, 5, 0, 3),
      payload: fc.uint8Array({ maxLength: 64 }), fds: fc.array(fc.constantFrom('memfd', 'eventfd', 'null'), { maxLength: 3 }), fit: fc.boolean(),
    });
    await fc.assert(fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 12 }), async (messages) => {
      const client = new VhostUserClient(back.path);
      const opened: number[] = [];
      const make = { memfd: () => memfd('any', 65536), eventfd: () => eventfd(), null: () => openSync('/dev/null', 'r+') };
      for (const { request: number, flags, payload, fds, fit } of messages) {
        const [least = 0] = REQUESTS.get(number)?.size ?? [];
        const bytes = fit ? Uint8Array.from({ length: least }, (_, i) => payload[i] ?? 0) : payload;
        const sent = fds.map((kind) => make[kind as keyof typeof make]());
        opened.push(...sent);
        try {
          if (!client.gone) client.raw(encodeMessage(number >>> 0, flags, bytes), sent);
        } catch {
          break; // disconnected
        }
      }
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
      client.close();
      for (const fd of opened) closeSync(fd);
    }), { numRuns: 60 });
    await serves(back);
    await settled(back);
    expect(openFds()).toBe(before);
    expect(await back.close()).toEqual([]);
  });

  test.each([['inside a WebAssembly memory', false], ['beside one', true]])('that cuts its memory short is disconnected, and whoever touches what is gone sees zeros, mapped %s', async (_where, beside) => {
    const back = await startBackEnd({ beside });
    const front = new FrontEndNet(back.path);
    await front.negotiate();
    await front.start();
    front.send(frame);
    await framesOutside(back, 1);
    front.letGo();
    ftruncateSync(front.memoryFd, 4096);
    await injectOutside(back, [frame, frame]);
    front.kickAgain();
    await front.client.closed();
    await back.said(/cut short/);
    front.close();
    await serves(back);
    expect(await back.close()).toEqual([]);
  });
});
