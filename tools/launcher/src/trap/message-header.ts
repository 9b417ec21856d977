/** `struct msghdr` and what it points to in a caller's memory (x86-64). */
import { EINVAL, EMSGSIZE } from '@vdpalab/uapi';
import { CallError } from './call-error.ts';
import type { CallerMemory } from './caller-memory.ts';

const SIZE = 56;
const UIO_MAXIOV = 1024;
/** `sizeof(struct sockaddr_storage)` */
const ADDRESS_MAX = 128;
/** Larger than any message netlink takes. */
const LENGTH_MAX = 1 << 20;

/** One piece of the caller's memory. */
export interface Piece {
  readonly base: bigint;
  readonly len: bigint;
}

/** A message header as the caller wrote it. */
export interface MessageHeader {
  readonly at: bigint;
  readonly name: bigint;
  readonly nameLength: number;
  readonly pieces: readonly Piece[];
}

/** @throws CallError EFAULT; EMSGSIZE for too many pieces; EINVAL for a negative length */
export function readMessageHeader(memory: CallerMemory, at: bigint): MessageHeader {
  const header = memory.read(at, SIZE);
  const view = new DataView(header.buffer);
  const [name, iov, count] = [view.getBigUint64(0, true), view.getBigUint64(16, true), view.getBigUint64(24, true)];
  const nameLength = view.getInt32(8, true);
  if (nameLength < 0) throw new CallError(EINVAL, `msg_namelen ${nameLength}`);
  if (count > UIO_MAXIOV) throw new CallError(EMSGSIZE, `msg_iovlen ${count}, at most ${UIO_MAXIOV}`);
  const bytes = memory.read(iov, Number(count) * 16);
  const vector = new DataView(bytes.buffer);
  const pieces = Array.from({ length: Number(count) }, (_, i): Piece => ({ base: vector.getBigUint64(16 * i, true), len: vector.getBigUint64(16 * i + 8, true) }));
  for (const { len } of pieces) if (len >> 63n !== 0n) throw new CallError(EINVAL, `iov_len ${len}`);
  return { at, name, nameLength: Math.min(nameLength, ADDRESS_MAX), pieces };
}

/** Bytes the caller sends, from all pieces. @throws CallError EFAULT EMSGSIZE */
export function gather(memory: CallerMemory, pieces: readonly Piece[]): Uint8Array {
  const total = pieces.reduce((sum, { len }) => sum + len, 0n);
  if (total > LENGTH_MAX) throw new CallError(EMSGSIZE, `a message of ${total} bytes`);
  return Buffer.concat(pieces.map(({ base, len }) => memory.read(base, Number(len))));
}

/** Put a message into the caller's pieces. @returns bytes that found room. @throws CallError EFAULT */
export function scatter(memory: CallerMemory, pieces: readonly Piece[], bytes: Uint8Array): number {
  let done = 0;
  for (const { base, len } of pieces) {
    const part = bytes.subarray(done, Math.min(bytes.length, done + Math.min(Number(len), bytes.length)));
    memory.write(base, part);
    done += part.length;
  }
  return done;
}

/** An address the caller gives. @param length as it says. @returns `null` for none. @throws CallError EINVAL EFAULT */
export function readAddress(memory: CallerMemory, at: bigint, length: number): Uint8Array | null {
  if (at === 0n) return null;
  if (length < 0 || length > ADDRESS_MAX) throw new CallError(EINVAL, `an address of ${length} bytes`);
  return memory.read(at, length);
}

/**
 * Give an address to the caller, as far as there is room; the length given is the whole one's.
 *
 * @param lengthAt where the room is read from and the length goes
 * @throws CallError EINVAL EFAULT
 */
export function writeAddress(memory: CallerMemory, at: bigint, lengthAt: bigint, address: Uint8Array): void {
  const room = new DataView(memory.read(lengthAt, 4).buffer).getInt32(0, true);
  if (room < 0) throw new CallError(EINVAL, `room for an address of ${room} bytes`);
  memory.write(at, address.subarray(0, room));
  memory.write(lengthAt, word(address.length));
}

/** Fill in what recvmsg says besides the data: the sender, no control data, flags. @throws CallError EFAULT */
export function finishHeader(memory: CallerMemory, header: MessageHeader, address: Uint8Array, flags: number): void {
  if (header.name !== 0n) {
    memory.write(header.name, address.subarray(0, header.nameLength));
    memory.write(header.at + 8n, word(address.length));
  }
  memory.write(header.at + 40n, new Uint8Array(8));
  memory.write(header.at + 48n, word(flags));
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return bytes;
}
