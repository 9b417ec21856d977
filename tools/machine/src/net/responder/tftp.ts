/**
 * A TFTP server without timers: every datagram gets at most one answer, and a client that misses one asks again.
 *
 * @see RFC 1350 (TFTP), 2347 (options), 2348 (blksize), 2349 (tsize)
 */
import type { FileStore } from './file-store.ts';
import { be16, put16 } from './packet.ts';

/** The port requests go to. */
export const TFTP_PORT = 69;
const RRQ = 1;
const WRQ = 2;
const DATA = 3;
const ACK = 4;
const ERROR = 5;
const OACK = 6;

const NOT_DEFINED = 0;
const NOT_FOUND = 1;
const DISK_FULL = 3;
const ILLEGAL = 4;
const UNKNOWN_TRANSFER = 5;

const BLKSIZE_DEFAULT = 512;
const BLKSIZE_MIN = 8;
/** Fills an IPv4 packet of 1500 bytes: 20 of IP, 8 of UDP and 4 of TFTP besides. */
export const BLKSIZE_MAX = 1468;
/** Transfers at a time, abandoned ones included; the oldest goes first. */
export const TRANSFERS_MAX = 16;
/** A second request for a block so soon is an echo in the network; answering it would double all that follows. */
const RESEND_NS = 100e6;
const FIRST_PORT = 49_152;
const PORTS = 16_384;

/** What to send: from the responder's port, to where the datagram came from. */
export interface TftpAnswer {
  readonly port: number;
  readonly payload: Uint8Array;
}

interface Transfer {
  readonly peer: string;
  readonly name: string;
  readonly blksize: number;
  /** Blocks that are through: acknowledged, or received. */
  blocks: number;
  /** The file that is read, or what was written so far. */
  data: Uint8Array;
  /** Bytes of `data` that count. */
  size: number;
  readonly writes: boolean;
  done: boolean;
  /** What was last sent, and when: for a peer that did not get it. */
  last: Uint8Array;
  sentAt: number;
}

/** Gives files and takes them. */
export class TftpServer {
  readonly #store: FileStore;
  readonly #now: () => number;
  /** By the server's port, oldest first. */
  readonly #transfers = new Map<number, Transfer>();
  #ports = 0;

  /** @param now nanoseconds */
  constructor(store: FileStore, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /**
   * Take a datagram.
   *
   * @param peer address and port it came from
   * @param port it came to
   * @returns what to answer; `null` for nothing, as on all ports but the server's
   */
  receive(peer: string, port: number, payload: Uint8Array): TftpAnswer | null {
    if (port !== TFTP_PORT && (port < FIRST_PORT || port >= FIRST_PORT + PORTS)) return null;
    const opcode = payload.length < 4 ? 0 : be16(payload, 0);
    if (port === TFTP_PORT) {
      if (opcode === RRQ || opcode === WRQ) return this.#request(peer, opcode === WRQ, payload.subarray(2));
      return opcode === ERROR ? null : { port, payload: errorPacket(ILLEGAL, 'no request') };
    }
    const transfer = this.#transfers.get(port);
    if (transfer === undefined || transfer.peer !== peer) {
      return opcode === ERROR ? null : { port, payload: errorPacket(UNKNOWN_TRANSFER, 'unknown transfer') };
    }
    const answer = this.#step(port, transfer, opcode, payload);
    if (answer === null) return null;
    transfer.last = answer;
    transfer.sentAt = this.#now();
    return { port, payload: answer };
  }

  #request(peer: string, writes: boolean, body: Uint8Array): TftpAnswer {
    const [name = '', mode = '', ...pairs] = strings(body);
    const refuse = (code: number, text: string): TftpAnswer => ({ port: TFTP_PORT, payload: errorPacket(code, text) });
    if (name === '' || mode.toLowerCase() !== 'octet') return refuse(NOT_DEFINED, `${name === '' ? 'no name' : `mode ${mode}`}`);
    const file = this.#store.files.get(name);
    if (!writes && file === undefined) return refuse(NOT_FOUND, 'File not found');
    const options = new Map<string, string>();
    let blksize = BLKSIZE_DEFAULT;
    for (let i = 0; i + 1 < pairs.length; i += 2) {
      const option = pairs[i]!.toLowerCase();
      const value = Number(pairs[i + 1]);
      if (!Number.isInteger(value) || value < 0) continue; // an option that makes no sense is left out of the answer
      if (option === 'blksize' && value >= BLKSIZE_MIN) options.set(option, `${(blksize = Math.min(value, BLKSIZE_MAX))}`);
      if (option === 'tsize') {
        if (writes && !this.#store.reserve(name, value)) return refuse(DISK_FULL, 'Disk full');
        if (writes) this.#store.release(value); // set aside as blocks come: what was announced may never be sent
        options.set(option, `${writes ? value : file!.length}`);
      }
    }
    // The same client from the same port again: its first request found no answer.
    for (const [port, other] of this.#transfers) if (other.peer === peer) this.#drop(port, other);
    for (const [port, oldest] of this.#transfers) {
      if (this.#transfers.size < TRANSFERS_MAX) break;
      this.#drop(port, oldest);
    }
    const port = FIRST_PORT + (this.#ports++ % PORTS);
    const transfer: Transfer = {
      peer, name, blksize, writes, blocks: options.size > 0 || writes ? 0 : 1, data: writes ? new Uint8Array(0) : file!, size: writes ? 0 : file!.length,
      done: false, last: new Uint8Array(0), sentAt: this.#now(),
    };
    this.#transfers.set(port, transfer);
    if (options.size > 0) transfer.last = oackPacket(options);
    else transfer.last = writes ? ackPacket(0) : this.#block(transfer);
    return { port, payload: transfer.last };
  }

  #step(port: number, transfer: Transfer, opcode: number, payload: Uint8Array): Uint8Array | null {
    const number = be16(payload, 2);
    if (opcode === (transfer.writes ? DATA : ACK)) {
      return transfer.writes ? this.#written(port, transfer, number, payload.subarray(4)) : this.#acknowledged(port, transfer, number);
    }
    this.#drop(port, transfer);
    return opcode === ERROR ? null : errorPacket(ILLEGAL, 'Illegal operation');
  }

  /** `blocks` is the one that was sent last; 0 while that is the answer to the options. */
  #acknowledged(port: number, transfer: Transfer, number: number): Uint8Array | null {
    if (number === (transfer.blocks & 0xffff)) {
      if (transfer.blocks > 0 && transfer.last.length - 4 < transfer.blksize) {
        this.#drop(port, transfer);
        return null;
      }
      transfer.blocks++;
      return this.#block(transfer);
    }
    const again = number === ((transfer.blocks - 1) & 0xffff) && this.#now() - transfer.sentAt >= RESEND_NS;
    return again ? transfer.last : null;
  }

  #written(port: number, transfer: Transfer, number: number, block: Uint8Array): Uint8Array | null {
    if (number === (transfer.blocks & 0xffff) && (transfer.blocks > 0 || transfer.done)) return transfer.last;
    if (transfer.done || number !== ((transfer.blocks + 1) & 0xffff)) return null;
    if (block.length > transfer.blksize) {
      this.#drop(port, transfer);
      return errorPacket(ILLEGAL, 'block too long');
    }
    if (!this.#store.reserve(transfer.name, block.length)) {
      this.#drop(port, transfer);
      return errorPacket(DISK_FULL, 'Disk full');
    }
    const size = transfer.size + block.length;
    if (size > transfer.data.length) {
      const grown = new Uint8Array(Math.max(size, 2 * transfer.data.length));
      grown.set(transfer.data.subarray(0, transfer.size));
      transfer.data = grown;
    }
    transfer.data.set(block, transfer.size);
    transfer.size = size;
    transfer.blocks++;
    if (block.length < transfer.blksize) {
      // The transfer stays, without its bytes, to acknowledge the last block again.
      this.#store.keep(transfer.name, transfer.data.slice(0, size), size);
      transfer.data = new Uint8Array(0);
      transfer.done = true;
    }
    return ackPacket(number);
  }

  #block(transfer: Transfer): Uint8Array {
    const at = (transfer.blocks - 1) * transfer.blksize;
    const block = transfer.data.subarray(at, Math.min(at + transfer.blksize, transfer.size));
    const packet = new Uint8Array(4 + block.length);
    put16(packet, 0, DATA);
    put16(packet, 2, transfer.blocks & 0xffff);
    packet.set(block, 4);
    return packet;
  }

  #drop(port: number, transfer: Transfer): undefined {
    if (transfer.writes && !transfer.done) this.#store.release(transfer.size);
    this.#transfers.delete(port);
  }
}

/** Strings that end in 0; what follows the last 0 is not one. */
function strings(bytes: Uint8Array): string[] {
  return new TextDecoder().decode(bytes).split('\0').slice(0, -1);
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function ackPacket(block: number): Uint8Array {
  return Uint8Array.of(0, ACK, block >> 8, block & 0xff);
}

function errorPacket(code: number, message: string): Uint8Array {
  return Uint8Array.of(0, ERROR, 0, code, ...text(message), 0);
}

function oackPacket(options: ReadonlyMap<string, string>): Uint8Array {
  return Uint8Array.of(0, OACK, ...text([...options].map(([name, value]) => `${name}\0${value}\0`).join('')));
}
