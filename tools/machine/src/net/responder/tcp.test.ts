import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { DeterministicScheduler } from '../../sched/scheduler.ts';
import { TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN, type Segment } from './packet.ts';
import { CONNECTIONS_MAX, TcpStack, type TcpSocket } from './tcp.ts';

const STATION = { mac: Uint8Array.of(2, 0, 0, 0, 0, 9), ip: Uint8Array.of(10, 0, 0, 9) };
const NOTHING = new Uint8Array(0);
/** Ours: wraps after a few bytes. */
const ISN = 0xffff_fff0;
const pattern = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i * 7 + (i >> 8));

let sched: DeterministicScheduler;
let stack: TcpStack;
let out: Segment[];
let sockets: TcpSocket[];
let received: number[];
let closed: number;

beforeEach(() => {
  sched = new DeterministicScheduler({ seed: 1 });
  out = [];
  sockets = [];
  received = [];
  closed = 0;
  stack = new TcpStack(sched, new Map([[80, (socket) => {
    sockets.push(socket);
    return {
      receive: (bytes) => {
        received.push(...bytes);
      },
      closed: () => {
        closed++;
      },
    };
  }]]), (_, segment) => {
    out.push(segment);
  });
});

/** Say segments in one burst. @returns what comes back at once */
function say(...segments: Partial<Segment>[]): Segment[] {
  for (const segment of segments) {
    stack.receive(STATION, { fromPort: 2000, toPort: 80, seq: 0, ack: 0, flags: TCP_ACK, window: 65_535, mss: null, payload: NOTHING, ...segment });
  }
  stack.flush();
  return out.splice(0);
}

/** Connect. @returns the other side's initial sequence number */
function connect(mss: number | null = 1000, window = 65_535): number {
  const [answer] = say({ seq: ISN, flags: TCP_SYN, mss, window });
  expect(answer).toMatchObject({ flags: TCP_SYN | TCP_ACK, ack: (ISN + 1) >>> 0, mss: 1460, fromPort: 80, toPort: 2000 });
  expect(say({ seq: ISN + 1, ack: answer!.seq + 1, window })).toEqual([]);
  return answer!.seq;
}

const at = (bytes: number): number => (ISN + 1 + bytes) >>> 0;
const text = (): string => String.fromCharCode(...received);
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);

describe('what comes', () => {
  it('is passed on in order, acknowledged once per burst, and past the wrap of sequence numbers', () => {
    const iss = connect();
    const answers = say({ seq: at(0), ack: iss + 1, payload: bytes('0123456789') }, { seq: at(10), ack: iss + 1, payload: bytes('abcdefghij') });
    expect(text()).toBe('0123456789abcdefghij');
    expect(answers).toMatchObject([{ flags: TCP_ACK, ack: 4 + 1, seq: iss + 1 }]);
  });

  it('is not taken early, nor twice, and said to be so', () => {
    const iss = connect();
    expect(say({ seq: at(5), ack: iss + 1, payload: bytes('56789') })).toMatchObject([{ ack: at(0) }]);
    expect(text()).toBe('');
    say({ seq: at(0), ack: iss + 1, payload: bytes('01234') });
    expect(say({ seq: at(0), ack: iss + 1, payload: bytes('01234567') })).toMatchObject([{ ack: at(8) }]);
    expect(say({ seq: at(0), ack: iss + 1, payload: bytes('012') })).toMatchObject([{ ack: at(8) }]);
    expect(say({ seq: at(7), ack: iss + 1 })).toMatchObject([{ ack: at(8) }]);
    expect(text()).toBe('01234567');
  });

  it('may end before the answer does: the rest is sent, then the connection is over', async () => {
    const iss = connect();
    sockets[0]!.send(bytes('answer'));
    const first = say({ seq: at(0), ack: iss + 1, flags: TCP_ACK | TCP_FIN, payload: bytes('q') });
    expect(first).toMatchObject([{ payload: bytes('answer'), ack: at(2), flags: TCP_ACK | TCP_PSH }, { flags: TCP_ACK | TCP_FIN, seq: iss + 7 }]);
    expect(stack.connections).toBe(1);
    expect(say({ seq: at(2), ack: iss + 8 })).toEqual([]);
    expect([stack.connections, closed, text()]).toEqual([0, 1, 'q']);
    await sched.run();
    expect(out).toEqual([]);
  });
});

describe('what is sent', () => {
  it('comes in segments of the size the peer takes, as many as its window holds', () => {
    const iss = connect(1000, 2500);
    const data = pattern(4000);
    sockets[0]!.send(data.subarray(0, 1500));
    sockets[0]!.send(data.subarray(1500));
    const ack = { seq: at(0), window: 2500 };
    expect(say({ ...ack, ack: iss + 1 }).map((s) => s.payload)).toEqual([data.slice(0, 1000), data.slice(1000, 2000), data.slice(2000, 2500)]);
    expect(say({ ...ack, ack: iss + 1 + 2000 }).map((s) => s.payload)).toEqual([data.slice(2500, 3500), data.slice(3500)]);
    expect(say({ ...ack, ack: iss + 1 + 4000 })).toEqual([]);
  });

  it('is sent in small segments to a peer that names no size', () => {
    const iss = connect(null);
    sockets[0]!.send(pattern(600));
    expect(say({ seq: at(0), ack: iss + 1 }).map((s) => s.payload.length)).toEqual([536, 64]);
  });

  it('waits for a window that opens, and asks for it', async () => {
    const iss = connect(1000, 0);
    sockets[0]!.send(bytes('abc'));
    expect(say({ seq: at(0), ack: iss + 1, window: 0 })).toEqual([]);
    await sched.run(undefined, () => 299e6);
    expect(out).toEqual([]);
    await sched.run(undefined, () => 300e6);
    expect(out.splice(0)).toMatchObject([{ payload: bytes('a') }]);
    expect(say({ seq: at(0), ack: iss + 1, window: 100 })).toMatchObject([{ payload: bytes('bc') }]);
    expect(say({ seq: at(0), ack: iss + 4 })).toEqual([]);
  });

  it('is sent again when three copies of an acknowledgement say that it was lost, or none comes', async () => {
    const iss = connect();
    sockets[0]!.send(pattern(5000));
    expect(say({ seq: at(0), ack: iss + 1 })).toHaveLength(5);
    const copy = { seq: at(0), ack: iss + 1001 };
    expect(say(copy, copy, copy)).toEqual([]);
    expect(say(copy)).toMatchObject([{ seq: iss + 1001, payload: pattern(2000).subarray(1000) }]);
    await sched.run(1);
    expect(out).toMatchObject([{ seq: iss + 1001 }]);
  });

  it('is given up when nobody answers', async () => {
    const iss = connect();
    sockets[0]!.send(bytes('x'));
    say({ seq: at(0), ack: iss + 1 });
    await sched.run();
    expect(out.splice(0)).toHaveLength(6);
    expect(sched.now).toBe(300e6 * 127);
    expect([stack.connections, closed]).toEqual([0, 1]);
    sockets[0]!.send(bytes('x'));
    expect(say({ seq: at(0), ack: iss + 1 })).toMatchObject([{ flags: TCP_RST }]);
  });

  it('arrives whole, whichever six segments are lost', async () => { // a seventh in a row is the end of the connection
    await fc.assert(fc.asyncProperty(fc.uniqueArray(fc.nat(40), { maxLength: 6 }), fc.integer({ min: 1, max: 20_000 }), async (losses, length) => {
      const iss = connect();
      const data = pattern(length);
      sockets.at(-1)!.send(data);
      sockets.at(-1)!.end();
      const got: number[] = [];
      let ended = false;
      const queue = say({ seq: at(0), ack: iss + 1 });
      for (let n = 0; stack.connections > 0; n++) {
        if (queue.length === 0) {
          await sched.run(1);
          queue.push(...out.splice(0));
        }
        const segment = queue.shift();
        if (segment === undefined || losses.includes(n)) continue;
        if (segment.seq === iss + 1 + got.length) {
          got.push(...segment.payload);
          ended = (segment.flags & TCP_FIN) !== 0;
        }
        queue.push(...say({ seq: at(0), ack: iss + 1 + got.length + (ended ? 1 : 0), flags: ended ? TCP_ACK | TCP_FIN : TCP_ACK }));
      }
      expect(got).toEqual([...data]);
      expect(sched.armedTimers()).toEqual([]);
    }), { numRuns: 50 });
  });
});

describe('connections', () => {
  it('are refused where nobody listens, to who sends before calling, and when there are too many', () => {
    expect(say({ toPort: 81, seq: 7, flags: TCP_SYN })).toMatchObject([{ flags: TCP_RST | TCP_ACK, seq: 0, ack: 8, fromPort: 81 }]);
    expect(say({ seq: 7, ack: 9 })).toMatchObject([{ flags: TCP_RST, seq: 9 }]);
    expect(say({ seq: 7, flags: TCP_FIN, payload: bytes('ab') })).toMatchObject([{ flags: TCP_RST | TCP_ACK, ack: 10 }]);
    expect(say({ flags: TCP_RST })).toEqual([]);
    for (let i = 0; i < CONNECTIONS_MAX; i++) expect(say({ fromPort: 3000 + i, flags: TCP_SYN })).toMatchObject([{ flags: TCP_SYN | TCP_ACK }]);
    expect(say({ fromPort: 9, flags: TCP_SYN })).toMatchObject([{ flags: TCP_RST | TCP_ACK }]);
    stack.stop();
    expect([stack.connections, closed, sched.armedTimers()]).toEqual([0, CONNECTIONS_MAX, []]);
  });

  it('are answered again when the call comes again', async () => {
    const [first] = say({ seq: ISN, flags: TCP_SYN });
    expect(say({ seq: ISN, flags: TCP_SYN })).toEqual([first]);
    await sched.run(1);
    expect(out.splice(0)).toEqual([first]);
    expect(say({ seq: at(0), ack: first!.seq + 1, payload: bytes('hi') })).toMatchObject([{ ack: at(2) }]);
  });

  it('end by a reset that is in order, and by no other', () => {
    connect();
    say({ seq: at(1), flags: TCP_RST });
    expect(stack.connections).toBe(1);
    say({ seq: at(0), flags: TCP_RST });
    expect([stack.connections, closed]).toEqual([0, 1]);
  });

  it('live through any segments', async () => {
    await fc.assert(fc.asyncProperty(fc.array(fc.record({
      seq: fc.oneof(fc.nat(0xffff_ffff), fc.constantFrom(at(0), at(1), at(5))), ack: fc.oneof(fc.nat(0xffff_ffff), fc.nat(0x20_0000)),
      flags: fc.nat(63), window: fc.nat(65_535), mss: fc.option(fc.nat(65_535)), payload: fc.uint8Array({ maxLength: 10 }),
    })), async (segments) => {
      connect();
      sockets.at(-1)!.send(pattern(3000));
      for (const segment of segments) say(segment);
      stack.stop();
      expect(sched.armedTimers()).toEqual([]);
      await sched.run();
    }), { numRuns: 200 });
  });
});
