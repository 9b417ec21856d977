/** Framing: what is a message, and what ends the connection. */
import { closeSync } from 'node:fs';
import { eventfd, hostAvailable, isEventfd, sendFds, socketPair } from '@vdpalab/libc';
import { describe, expect, test } from 'vitest';
import { Channel } from './channel.ts';
import { encodeMessage, encodeU64, type Message } from './message.ts';
import { PAYLOAD_MAX, REQUESTS, VHOST_USER_GET_FEATURES, VHOST_USER_SET_FEATURES, VHOST_USER_SET_MEM_TABLE, VHOST_USER_SET_VRING_KICK } from './requests.ts';

interface Scene {
  readonly channel: Channel;
  /** The front-end's end. */
  readonly peer: number;
  /** What the channel tells next: a message, how it ended. */
  readonly next: () => Promise<Message | { readonly over: string | null }>;
}

function scene(): Scene {
  const [peer, fd] = socketPair();
  const told: (Message | { over: string | null })[] = [];
  let wake: () => void = () => undefined;
  const tell = (what: Message | { over: string | null }): void => {
    told.push(what);
    wake();
  };
  const channel = new Channel(fd, { message: tell, over: (reason) => tell({ over: reason?.message ?? null }) });
  return {
    channel, peer,
    next: async () => {
      while (told.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return told.shift()!; // there is one: just looked
    },
  };
}

function header(request: number, flags: number, size: number): Uint8Array {
  const bytes = new Uint8Array(12);
  new Uint32Array(bytes.buffer).set([request, flags, size]);
  return bytes;
}

describe.runIf(hostAvailable())('a channel', () => {
  test('gives whole messages one at a time, however they are cut', async () => {
    const { channel, peer, next } = scene();
    const bytes = encodeMessage(VHOST_USER_SET_FEATURES, 8, encodeU64(0x1234));
    for (const byte of bytes) sendFds(peer, Uint8Array.of(byte));
    sendFds(peer, encodeMessage(VHOST_USER_GET_FEATURES, 0, new Uint8Array(0)));
    expect(await next()).toMatchObject({ request: VHOST_USER_SET_FEATURES, flags: 9, payload: encodeU64(0x1234), fds: [] });
    channel.resume();
    expect(await next()).toMatchObject({ request: VHOST_USER_GET_FEATURES });
    closeSync(peer);
    channel.resume();
    expect(await next()).toEqual({ over: null });
    channel.close();
  });

  test('hands descriptors on with their message', async () => {
    const { channel, peer, next } = scene();
    const event = eventfd();
    sendFds(peer, encodeMessage(VHOST_USER_SET_VRING_KICK, 0, encodeU64(0)), [event]);
    const message = await next();
    if (!('fds' in message)) throw new Error('no message');
    expect(message.fds.map(isEventfd)).toEqual([true]);
    for (const fd of [event, peer, ...message.fds]) closeSync(fd);
    channel.close();
  });

  test.each([
    ['a version that is not 1', header(VHOST_USER_GET_FEATURES, 2, 0), 'version 2'],
    ['an answer nobody asked for', header(VHOST_USER_GET_FEATURES, 5, 0), 'nothing was asked'],
    ['a payload a request cannot have', header(VHOST_USER_SET_FEATURES, 1, 16), 'a payload of 16 bytes, not 8'],
    ['a payload that is too short', header(VHOST_USER_SET_FEATURES, 1, 0), 'a payload of 0 bytes, not 8'],
    ['a payload beyond all bounds', header(999, 1, 0xffff_ffff), 'a payload of 4294967295 bytes'],
    ['a table of nine regions', header(VHOST_USER_SET_MEM_TABLE, 1, 8 + 9 * 32), 'a payload of 296 bytes'],
  ])('ends at %s', async (_what, bytes, why) => {
    const { channel, peer, next } = scene();
    sendFds(peer, bytes);
    expect(await next()).toEqual({ over: expect.stringContaining(why) as string });
    expect(channel.open).toBe(false);
    closeSync(peer);
  });

  test('ends at descriptors a request does not take, and closes them', async () => {
    const { peer, next } = scene();
    const event = eventfd();
    sendFds(peer, encodeMessage(VHOST_USER_GET_FEATURES, 0, new Uint8Array(0)), [event, event]);
    expect(await next()).toEqual({ over: expect.stringContaining('2 descriptors, not 0') as string });
    closeSync(event);
    closeSync(peer);
  });

  test('ends at descriptors that come late', async () => {
    const { peer, next } = scene();
    const event = eventfd();
    sendFds(peer, header(VHOST_USER_SET_VRING_KICK, 1, 8));
    sendFds(peer, encodeU64(0), [event]);
    expect(await next()).toEqual({ over: expect.stringContaining('belong to the header') as string });
    closeSync(event);
    closeSync(peer);
  });

  test('ends when the front-end leaves in the middle of a message', async () => {
    const { peer, next } = scene();
    sendFds(peer, header(VHOST_USER_SET_FEATURES, 1, 8));
    closeSync(peer);
    expect(await next()).toEqual({ over: expect.stringContaining('after 12 of 20 bytes') as string });
  });

  test('answers, and says when nobody listens', async () => {
    const { channel, peer } = scene();
    closeSync(peer);
    expect(() => channel.reply(VHOST_USER_GET_FEATURES, encodeU64(1))).toThrow(expect.objectContaining({ errno: 'EPIPE' }));
    channel.close();
    expect(() => channel.reply(VHOST_USER_GET_FEATURES, encodeU64(1))).toThrow(expect.objectContaining({ rule: 'vhost_user.reply.gone' }));
  });
});

test('all forty requests have a shape, and none is larger than what is taken', () => {
  expect([...REQUESTS.keys()]).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
  for (const { name, size: [least, most], fds: [few, many] } of REQUESTS.values()) {
    expect(least <= most && most <= PAYLOAD_MAX && few <= many && many <= 8, name).toBe(true);
  }
});
