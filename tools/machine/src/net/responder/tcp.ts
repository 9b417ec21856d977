/**
 * TCP of a host that is only ever called: accepts connections, in order delivery, retransmission. Its networks are short and
 * lose little, so it sends as much as the peer's window takes; what comes out of order comes again.
 *
 * @see RFC 9293
 */
import type { Atomic, Scheduler, TimerHandle } from '@vdpalab/abi';
import { TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN } from './packet.ts';
import type { Segment, Station } from './packet.ts';

/** Fills an IPv4 packet of 1500 bytes. */
const MSS = 1460;
/** For a peer that does not say. */
const MSS_DEFAULT = 536;
const WINDOW = 65_535;
const RESEND_NS = 300e6;
/** Times something is sent again, each after twice the time, until the peer counts as gone. */
const RESENDS_MAX = 6;
/** Copies of an acknowledgement that say that a segment was lost. */
const DUPLICATES = 3;
/** More are refused. */
export const CONNECTIONS_MAX = 64;

/** One connection, as its service sees it. */
export interface TcpSocket {
  /** Send bytes; they are not copied. */
  readonly send: (bytes: Uint8Array) => undefined;
  /** Nothing more will be sent. */
  readonly end: () => undefined;
}

/** What is done with a connection. */
export interface TcpService {
  /** Bytes came; a view, good until the call returns. */
  readonly receive: (bytes: Uint8Array) => undefined;
  /** The connection is over, in good order or not. */
  readonly closed: () => undefined;
}

/** All connections of a host. */
export class TcpStack {
  readonly #sched: Pick<Scheduler, 'timer'>;
  readonly #transmit: (to: Station, segment: Segment) => Atomic;
  readonly #services: ReadonlyMap<number, (socket: TcpSocket) => TcpService>;
  readonly #connections = new Map<string, Connection>();
  /** Connections that have something to say once all frames of a burst are read. */
  readonly #touched = new Set<Connection>();
  #iss = 1;

  /** @param services by port */
  constructor(
    sched: Pick<Scheduler, 'timer'>, services: ReadonlyMap<number, (socket: TcpSocket) => TcpService>,
    transmit: (to: Station, segment: Segment) => Atomic,
  ) {
    this.#sched = sched;
    this.#services = services;
    this.#transmit = transmit;
  }

  /** Connections there are. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Take a segment; what it asks for is said by {@link flush}. */
  receive(from: Station, segment: Segment): undefined {
    const key = `${from.ip.join('.')}:${segment.fromPort}:${segment.toPort}`;
    let connection = this.#connections.get(key);
    if (connection === undefined) {
      const service = this.#services.get(segment.toPort);
      const calls = (segment.flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) === TCP_SYN;
      if (!calls || service === undefined || this.#connections.size >= CONNECTIONS_MAX) {
        this.#refuse(from, segment);
        return;
      }
      connection = new Connection(this.#sched, segment, this.#iss, (out) => this.#transmit(from, out), service, () => this.#connections.delete(key));
      this.#iss = (this.#iss + 64_000) >>> 0;
      this.#connections.set(key, connection);
    } else {
      connection.receive(segment);
    }
    this.#touched.add(connection);
  }

  /** Acknowledge and send. */
  flush(): undefined {
    for (const connection of this.#touched) connection.flush();
    this.#touched.clear();
  }

  /** Forget all connections, without a word to anyone. */
  stop(): undefined {
    for (const connection of this.#connections.values()) connection.close();
  }

  #refuse(from: Station, segment: Segment): undefined {
    const { fromPort, toPort, flags, seq, ack, payload } = segment;
    if ((flags & TCP_RST) !== 0) return;
    const length = payload.length + ((flags & TCP_SYN) === 0 ? 0 : 1) + ((flags & TCP_FIN) === 0 ? 0 : 1);
    const out = { fromPort: toPort, toPort: fromPort, window: 0, mss: null, payload: new Uint8Array(0) };
    if ((flags & TCP_ACK) === 0) this.#transmit(from, { ...out, seq: 0, ack: (seq + length) >>> 0, flags: TCP_RST | TCP_ACK });
    else this.#transmit(from, { ...out, seq: ack, ack: 0, flags: TCP_RST });
  }
}

/** One connection. Positions in what is sent count from the SYN, which is 0; the first byte is 1. */
class Connection {
  readonly #sched: Pick<Scheduler, 'timer'>;
  readonly #transmit: (segment: Segment) => Atomic;
  readonly #service: TcpService;
  readonly #gone: () => void;
  readonly #ports: { readonly fromPort: number; readonly toPort: number };
  readonly #iss: number;
  readonly #mss: number;
  /** Next sequence number to come. */
  #expected: number;
  /** What is to be sent or not acknowledged yet, from position `#una` on, the SYN and the FIN apart. */
  readonly #queue: Uint8Array[] = [];
  /** First position that is not acknowledged, next one to send, and where the FIN goes. */
  #una = 0;
  #next = 0;
  #end = 1;
  #ending = false;
  #window: number;
  #duplicates = 0;
  #peerEnded = false;
  #acknowledge = false;
  #closed = false;
  #timer: TimerHandle | null = null;
  #resends = 0;

  /** @param syn the segment that calls */
  constructor(
    sched: Pick<Scheduler, 'timer'>, syn: Segment, iss: number, transmit: (segment: Segment) => Atomic,
    service: (socket: TcpSocket) => TcpService, gone: () => void,
  ) {
    this.#sched = sched;
    this.#transmit = transmit;
    this.#gone = gone;
    this.#ports = { fromPort: syn.toPort, toPort: syn.fromPort };
    this.#iss = iss;
    this.#mss = Math.max(64, Math.min(syn.mss ?? MSS_DEFAULT, MSS));
    this.#expected = (syn.seq + 1) >>> 0;
    this.#window = syn.window;
    this.#service = service({
      send: (bytes) => {
        if (this.#closed || bytes.length === 0) return;
        this.#queue.push(bytes);
        this.#end += bytes.length;
      },
      end: () => {
        this.#ending = true;
      },
    });
  }

  receive(segment: Segment): undefined {
    const { flags, payload } = segment;
    const offset = (segment.seq - this.#expected) | 0; // of its first byte from the one that is due
    if ((flags & TCP_RST) !== 0) {
      if (offset === 0) this.close();
      return;
    }
    if ((flags & TCP_SYN) !== 0) {
      if (this.#una === 0) this.#next = 0; // the answer was lost
      return;
    }
    if ((flags & TCP_ACK) === 0) return;
    this.#acknowledged(segment);
    if (this.#closed) return;
    const fin = (flags & TCP_FIN) !== 0;
    if (payload.length === 0 && !fin) {
      if (offset !== 0) this.#acknowledge = true; // such as a probe whether there is someone
      return;
    }
    this.#acknowledge = true;
    if (offset > 0 || -offset > payload.length || this.#peerEnded) return; // early, or here before
    const fresh = payload.subarray(-offset);
    this.#expected = (this.#expected + fresh.length + (fin ? 1 : 0)) >>> 0;
    this.#peerEnded = fin;
    if (fresh.length > 0) this.#service.receive(fresh);
    if (fin) this.#ending = true; // who has said all gets the rest of the answer, and no more
  }

  /** Send what the peer's window takes, or an acknowledgement alone if one is due. */
  flush(): undefined {
    if (this.#closed) return;
    if (this.#next === 0) this.#segment(0, 0, TCP_SYN | TCP_ACK);
    else this.#sendData();
    if (this.#closed) return;
    if (this.#acknowledge) this.#segment(this.#next, 0, TCP_ACK);
    if (this.#peerEnded && this.#una > this.#end) this.close();
    else this.#arm();
  }

  /** Forget the connection. */
  close(): undefined {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    this.#gone();
    this.#service.closed();
  }

  #acknowledged(segment: Segment): undefined {
    const ack = (segment.ack - this.#iss) >>> 0;
    if (ack > this.#next) {
      this.#acknowledge = true; // of what was never sent
      return;
    }
    if (ack > this.#una) {
      let acked = Math.min(ack, this.#end) - Math.max(this.#una, 1);
      while (acked > 0) {
        const first = this.#queue[0]!;
        if (first.length <= acked) this.#queue.shift();
        else this.#queue[0] = first.subarray(acked);
        acked -= first.length;
      }
      this.#una = ack;
      this.#duplicates = 0;
      this.#resends = 0;
      this.#timer?.cancel();
      this.#timer = null;
    } else if (ack === this.#una && this.#una < this.#next && segment.payload.length === 0 && segment.window === this.#window) {
      if (++this.#duplicates === DUPLICATES) this.#resend();
    }
    this.#window = segment.window;
  }

  #sendData(): undefined {
    if (this.#una === 0) return; // the handshake is not over
    const limit = Math.min(this.#end, this.#una + this.#window);
    while (this.#next < limit) this.#segment(this.#next, Math.min(this.#mss, limit - this.#next), TCP_ACK);
    if (this.#ending && this.#next === this.#end) this.#segment(this.#end, 0, TCP_ACK | TCP_FIN);
  }

  /** Send a segment that begins at a position. */
  #segment(at: number, length: number, flags: number): undefined {
    const last = length > 0 && at + length === this.#end;
    const syn = (flags & TCP_SYN) !== 0;
    this.#acknowledge = false;
    this.#next = Math.max(this.#next, at + length + (syn || (flags & TCP_FIN) !== 0 ? 1 : 0));
    this.#transmit({
      ...this.#ports, seq: (this.#iss + at) >>> 0, ack: this.#expected, flags: flags | (last ? TCP_PSH : 0), window: WINDOW,
      mss: syn ? MSS : null, payload: this.#bytes(at, length),
    });
  }

  #bytes(at: number, length: number): Uint8Array {
    let skip = at - Math.max(this.#una, 1);
    const out = new Uint8Array(length);
    let filled = 0;
    for (const chunk of this.#queue) {
      if (filled === length) break;
      const part = chunk.subarray(skip, skip + length - filled);
      skip = Math.max(0, skip - chunk.length);
      out.set(part, filled);
      filled += part.length;
    }
    return out;
  }

  /** Send again what was not acknowledged first; a byte into a closed window, to hear when it opens. */
  #resend(): undefined {
    if (this.#una === 0) this.#segment(0, 0, TCP_SYN | TCP_ACK);
    else if (this.#una < this.#end) this.#segment(this.#una, Math.min(this.#mss, this.#end - this.#una, Math.max(1, this.#window)), TCP_ACK);
    else if (this.#ending) this.#segment(this.#end, 0, TCP_ACK | TCP_FIN);
  }

  /** Watch what is not acknowledged, or cannot be sent yet. */
  #arm(): undefined {
    const waits = this.#una < this.#next || this.#una < this.#end;
    if (!waits || this.#timer !== null) return;
    this.#timer = this.#sched.timer('responder tcp', RESEND_NS * 2 ** this.#resends, () => {
      this.#timer = null;
      if (++this.#resends > RESENDS_MAX) {
        this.close();
        return;
      }
      this.#resend();
      this.#arm();
    });
  }
}
