/** A host on a network that is not one of the lab's machines: answers ARP and ping, and serves files. */
import { InjectionPort } from '../injection.ts';
import type { NetPort } from '../port.ts';
import { arpReply, echoReply, readPacket, udpFrame } from './packet.ts';
import type { Ignored, Station } from './packet.ts';
import { TftpServer } from './tftp.ts';

/** An entry of a network's `responders:`. */
export interface ResponderConfig {
  readonly name: string;
  /** `52:54:00:00:00:fe` */
  readonly mac: string;
  /** `10.0.0.1` */
  readonly ip: string;
  /** What the TFTP server has, by name. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Bytes of all files it keeps. */
  readonly capacity: number;
}

/** Frames a responder took, by what became of them. */
export type ResponderCounters = Record<'arp' | 'echo' | 'udp' | Ignored, number>;

/** Answers from its port, in atomic context. */
export class Responder {
  readonly name: string;
  readonly tftp: TftpServer;
  readonly counters: ResponderCounters = { arp: 0, echo: 0, udp: 0, foreign: 0, malformed: 0, corrupt: 0 };
  readonly #me: Station;
  readonly #injection: InjectionPort;

  /**
   * @param port plugged in, without a receiver
   * @param now nanoseconds
   */
  constructor(config: ResponderConfig, port: NetPort, now: () => number) {
    this.name = config.name;
    this.#me = {
      mac: Uint8Array.from(config.mac.split(':'), (part) => Number.parseInt(part, 16)),
      ip: Uint8Array.from(config.ip.split('.'), Number),
    };
    this.tftp = new TftpServer(config.files, config.capacity, now);
    this.#injection = new InjectionPort(port);
    this.#injection.onReceive = () => {
      for (const frame of this.#injection.take()) this.#take(frame);
    };
  }

  #take(frame: Uint8Array): undefined {
    const packet = readPacket(frame, this.#me);
    if (typeof packet === 'string') {
      this.counters[packet]++;
      return;
    }
    this.counters[packet.kind]++;
    const { from } = packet;
    if (packet.kind === 'arp') this.#injection.inject(arpReply(this.#me, from));
    else if (packet.kind === 'echo') this.#injection.inject(echoReply(this.#me, from, packet.message));
    else {
      const answer = this.tftp.receive(`${from.ip.join('.')}:${packet.fromPort}`, packet.toPort, packet.payload);
      if (answer !== null) this.#injection.inject(udpFrame(this.#me, answer.port, from, packet.fromPort, answer.payload));
    }
  }
}
