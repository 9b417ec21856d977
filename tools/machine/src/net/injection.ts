/** A port for tests, and for frames that come from the host. */
import type { NetPort } from './port.ts';

/** Bytes of an Ethernet header. */
const HEADER_SIZE = 14;

/** Sends bytes into a network and keeps what comes out. */
export class InjectionPort {
  readonly port: NetPort;
  /** Copies of the frames that arrived and were not taken yet, oldest first. */
  readonly received: Uint8Array[] = [];
  /** Called after frames have arrived, in atomic context. */
  onReceive: (() => undefined) | null = null;

  /** @param port plugged in, without a receiver */
  constructor(port: NetPort) {
    this.port = port;
    port.receiver = () => this.collect();
  }

  /**
   * Send a frame.
   *
   * @param bytes destination address first, without FCS
   * @returns false when it has no Ethernet header, is too long, or there is no room for it in the network
   */
  inject(bytes: Uint8Array): boolean {
    const { pool } = this.port;
    if (bytes.length < HEADER_SIZE) return false;
    const frame = pool.take(bytes.length);
    if (frame < 0) return false;
    pool.memory.u8.set(bytes, pool.offset(frame));
    this.port.send(frame);
    return true;
  }

  /** Take all frames that arrived. */
  take(): Uint8Array[] {
    return this.received.splice(0);
  }

  private collect(): undefined {
    const { port } = this;
    for (let frame = port.next(); frame >= 0; frame = port.next()) {
      this.received.push(port.pool.bytes(frame).slice());
      port.pool.release(frame);
    }
    this.onReceive?.();
  }
}
