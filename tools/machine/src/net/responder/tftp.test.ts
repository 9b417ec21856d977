import { beforeEach, describe, expect, it } from 'vitest';
import { FileStore } from './file-store.ts';
import { BLKSIZE_MAX, TFTP_PORT, TRANSFERS_MAX, TftpServer } from './tftp.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const packet = (opcode: number, ...parts: (number | string | Uint8Array)[]): Uint8Array => Uint8Array.of(0, opcode, ...parts.flatMap(
  (part) => (typeof part === 'number' ? [part >> 8, part & 0xff] : [...(typeof part === 'string' ? encode(part) : part)]),
));
const rrq = (name: string, options = '', mode = 'octet'): Uint8Array => packet(1, `${name}\0${mode}\0${options}`);
const wrq = (name: string, options = ''): Uint8Array => packet(2, `${name}\0octet\0${options}`);
const data = (block: number, bytes: Uint8Array): Uint8Array => packet(3, block, bytes);
const ack = (block: number): Uint8Array => packet(4, block);
const error = (code: number, text: string): Uint8Array => packet(5, code, `${text}\0`);
const oack = (options: string): Uint8Array => packet(6, options);

let now: number;
let store: FileStore;
let server: TftpServer;
const pattern = Uint8Array.from({ length: 1300 }, (_, i) => i * 7);

beforeEach(() => {
  now = 0;
  store = new FileStore(new Map([['file', pattern], ['even', pattern.subarray(0, 1024)]]), 10_000);
  server = new TftpServer(store, () => now);
});

/** The client's part of a transfer. */
class Client {
  port = TFTP_PORT;
  readonly peer: string;

  constructor(peer = '10.0.0.9:2000') {
    this.peer = peer;
  }

  say(payload: Uint8Array): Uint8Array | null {
    const answer = server.receive(this.peer, this.port, payload);
    if (answer !== null) this.port = answer.port;
    return answer?.payload ?? null;
  }
}

describe('reading a file', () => {
  it('comes in blocks of 512 bytes without options, the last one short', () => {
    const client = new Client();
    expect(client.say(rrq('file'))).toEqual(data(1, pattern.subarray(0, 512)));
    expect(client.port).not.toBe(TFTP_PORT);
    expect(client.say(ack(1))).toEqual(data(2, pattern.subarray(512, 1024)));
    expect(client.say(ack(2))).toEqual(data(3, pattern.subarray(1024)));
    expect(client.say(ack(3))).toBeNull();
    expect(client.say(ack(3))).toEqual(error(5, 'unknown transfer'));
  });

  it('ends with an empty block when the blocks fill it', () => {
    const client = new Client();
    client.say(rrq('even'));
    client.say(ack(1));
    expect(client.say(ack(2))).toEqual(data(3, new Uint8Array(0)));
    expect(client.say(ack(3))).toBeNull();
  });

  it('takes block size and file size as options, blocks that fill a packet at most, and leaves out what it does not know', () => {
    const client = new Client();
    expect(client.say(rrq('file', 'BLKSIZE\x001000\0tsize\x000\0windowsize\x004\0'))).toEqual(oack('blksize\x001000\0tsize\x001300\0'));
    expect(client.say(ack(0))).toEqual(data(1, pattern.subarray(0, 1000)));
    expect(client.say(ack(1))).toEqual(data(2, pattern.subarray(1000)));
    expect(new Client().say(rrq('file', 'blksize\x0065464\0'))).toEqual(oack(`blksize\0${BLKSIZE_MAX}\0`));
    expect(new Client().say(rrq('file', 'blksize\x007\0tsize\0x\0'))).toEqual(data(1, pattern.subarray(0, 512)));
  });

  it('sends a block again when it was asked for again after a while, and not at once', () => {
    const client = new Client();
    client.say(rrq('file'));
    const second = client.say(ack(1));
    expect(client.say(ack(1))).toBeNull();
    now += 100e6;
    expect(client.say(ack(1))).toEqual(second);
    expect(client.say(ack(0))).toBeNull();
    expect(client.say(ack(9))).toBeNull();
    expect(client.say(ack(2))).toEqual(data(3, pattern.subarray(1024)));
  });

  it('counts blocks past 65535', () => {
    const big = new Uint8Array(8 * 65_540).map((_, i) => i >> 3);
    server = new TftpServer(new FileStore(new Map([['big', big]]), 0), () => now);
    const client = new Client();
    client.say(rrq('big', 'blksize\x008\0'));
    let read = 0;
    for (let block = 1; block <= 65_541; block++) {
      const answer = client.say(ack((block - 1) & 0xffff));
      if (answer === null || !Buffer.from(answer).equals(data(block & 0xffff, big.subarray(read, read + 8)))) throw new Error(`block ${block}`);
      read += answer.length - 4;
    }
    expect(read).toBe(big.length);
    expect(client.say(ack(65_541 & 0xffff))).toBeNull();
  });
});

describe('writing a file', () => {
  it('keeps it when the last block has come, and acknowledges that one as often as it comes', () => {
    const client = new Client();
    expect(client.say(wrq('new'))).toEqual(ack(0));
    expect(client.say(data(1, pattern.subarray(0, 512)))).toEqual(ack(1));
    expect(client.say(data(1, pattern.subarray(0, 512)))).toEqual(ack(1));
    expect(client.say(data(3, pattern))).toBeNull();
    expect(store.files.has('new')).toBe(false);
    expect(client.say(data(2, pattern.subarray(512, 600)))).toEqual(ack(2));
    expect(client.say(data(2, pattern.subarray(512, 600)))).toEqual(ack(2));
    expect(client.say(data(3, pattern.subarray(0, 5)))).toBeNull();
    expect(store.files.get('new')).toEqual(pattern.slice(0, 600));
  });

  it('takes an empty file, and one that replaces another', () => {
    const client = new Client();
    client.say(wrq('file', 'blksize\x001400\0'));
    expect(client.say(data(1, new Uint8Array(0)))).toEqual(ack(1));
    expect(store.files.get('file')).toEqual(new Uint8Array(0));
  });

  it('stops when there is no room: by the size that was said, and by what comes', () => {
    expect(new Client().say(wrq('new', 'tsize\x007677\0'))).toEqual(error(3, 'Disk full'));
    expect(new Client().say(wrq('new', 'tsize\x007676\0'))).toEqual(oack('tsize\x007676\0'));
    const one = new Client('a:1');
    one.say(wrq('one', 'blksize\x001400\0'));
    for (let block = 1; block <= 5; block++) expect(one.say(data(block, new Uint8Array(1400)))).toEqual(ack(block));
    const two = new Client('b:1');
    two.say(wrq('two'));
    expect(two.say(data(1, new Uint8Array(512)))).toEqual(ack(1));
    expect(two.say(data(2, new Uint8Array(512)))).toEqual(error(3, 'Disk full'));
    expect(one.say(data(6, new Uint8Array(0)))).toEqual(ack(6));
    expect(two.say(data(2, new Uint8Array(0)))).toEqual(error(5, 'unknown transfer'));
    expect([...store.files.keys()]).toEqual(['file', 'even', 'one']);
  });

  it('refuses a block that is longer than was agreed', () => {
    const client = new Client();
    client.say(wrq('new'));
    expect(client.say(data(1, new Uint8Array(513)))).toEqual(error(4, 'block too long'));
  });
});

describe('requests', () => {
  it('are refused with their reason', () => {
    expect(new Client().say(rrq('nothing'))).toEqual(error(1, 'File not found'));
    expect(new Client().say(rrq('file', '', 'netascii'))).toEqual(error(0, 'mode netascii'));
    expect(new Client().say(rrq(''))).toEqual(error(0, 'no name'));
    expect(new Client().say(packet(1, 'file'))).toEqual(error(0, 'no name'));
    expect(new Client().say(ack(1))).toEqual(error(4, 'no request'));
    expect(new Client().say(Uint8Array.of(0, 1))).toEqual(error(4, 'no request'));
    expect(new Client().say(error(0, 'x'))).toBeNull();
  });

  it('that come again start anew; a transfer belongs to who asked for it, and ends with an error', () => {
    const client = new Client();
    client.say(rrq('file'));
    const first = client.port;
    client.port = TFTP_PORT;
    client.say(rrq('file'));
    expect(client.port).not.toBe(first);
    const other = new Client('10.0.0.8:2000');
    other.port = client.port;
    expect(other.say(ack(1))).toEqual(error(5, 'unknown transfer'));
    expect(client.say(data(1, pattern))).toEqual(error(4, 'Illegal operation'));
    expect(client.say(ack(1))).toEqual(error(5, 'unknown transfer'));
    client.port = TFTP_PORT;
    client.say(rrq('file'));
    expect(client.say(error(0, 'no more'))).toBeNull();
    expect(client.say(error(0, 'no more'))).toBeNull();
    expect(client.say(ack(1))).toEqual(error(5, 'unknown transfer'));
  });

  it('push out the oldest when there are too many', () => {
    const clients = Array.from({ length: TRANSFERS_MAX + 1 }, (_, i) => new Client(`c:${i}`));
    for (const client of clients) client.say(rrq('file'));
    expect(clients[0]!.say(ack(1))).toEqual(error(5, 'unknown transfer'));
    expect(clients[1]!.say(ack(1))).toEqual(data(2, pattern.subarray(512, 1024)));
  });
});
