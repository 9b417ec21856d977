/** A host on a network that is not one of the lab's machines: answers ARP and ping, gives and takes files by TFTP and HTTP. */
import type { Scheduler } from '@vdpalab/abi';
import { InjectionPort } from '../injection.ts';
import type { NetPort } from '../port.ts';
import { FileStore } from './file-store.ts';
import { HTTP_PORT, httpService } from './http.ts';
import { arpReply, echoReply, readPacket, tcpFrame, udpFrame } from './packet.ts';
import type { Ignored, Packet, Station } from './packet.ts';
import { TcpStack } from './tcp.ts';
import { TftpServer } from './tftp.ts';

/** An entry of a network's `responders:`. */
export interface ResponderConfig {
  readonly name: string;
  /** `52:54:00:00:00:fe` */
  readonly mac: string;
  /** `10.0.0.1` */
  readonly ip: string;
  /** Files it has, by name. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Bytes of all files it keeps. */
  readonly capacity: number;
}

/** Frames a responder took, by what became of them. */
export type ResponderCounters = Record<Packet['kind'] | Ignored, number>;

/** Answers from its port, in atomic context. */
export class Responder {
  readonly name: string;
  readonly counters: ResponderCounters = { arp: 0, echo: 0, udp: 0, tcp: 0, foreign: 0, malformed: 0, corrupt: 0 };
  readonly #store: FileStore;
  readonly #tftp: TftpServer;
  readonly #tcp: TcpStack;
  readonly #me: Station;
  readonly #injection: InjectionPort;

  /** @param port plugged in, without a receiver */
  constructor(config: ResponderConfig, port: NetPort, sched: Pick<Scheduler, 'now' | 'timer'>) {
    this.name = config.name;
    this.#me = {
      mac: Uint8Array.from(config.mac.split(':'), (part) => Number.parseInt(part, 16)),
      ip: Uint8Array.from(config.ip.split('.'), Number),
    };
    this.#store = new FileStore(config.files, config.capacity);
    this.#tftp = new TftpServer(this.#store, () => sched.now);
    this.#injection = new InjectionPort(port);
    this.#tcp = new TcpStack(sched, new Map([[HTTP_PORT, (socket) => httpService(this.#store, socket)]]), (to, segment) => {
      this.#injection.inject(tcpFrame(this.#me, to, segment));
    });
    this.#injection.onReceive = () => {
      for (const frame of this.#injection.take()) this.#take(frame);
      this.#tcp.flush();
    };
  }

  /** By name: those of the lab file, and those it was given. */
  get files(): ReadonlyMap<string, Uint8Array> {
    return this.#store.files;
  }

  /** TCP connections there are. */
  get connections(): number {
    return this.#tcp.connections;
  }

  /** Forget all connections: the machine goes away. */
  stop(): undefined {
    this.#tcp.stop();
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
    else if (packet.kind === 'tcp') this.#tcp.receive(from, packet.segment);
    else {
      const answer = this.#tftp.receive(`${from.ip.join('.')}:${packet.fromPort}`, packet.toPort, packet.payload);
      if (answer !== null) this.#injection.inject(udpFrame(this.#me, answer.port, from, packet.fromPort, answer.payload));
    }
  }
}
