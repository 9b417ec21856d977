/** Text through descriptors. Bytes that are no UTF-8 survive: see utf8Decode of uapi. */
import type { UserProcess } from '@vdpalab/lab';
import { utf8Decode, utf8Encode } from '@vdpalab/uapi';
import { refusedWith } from './system.ts';

/** Write all of it. @throws the errno of a refused write */
export async function writeBytes(p: UserProcess, fd: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await p.write(fd, at === 0 ? bytes : bytes.subarray(at));
}

/** Write a text in one call where the file takes it so. */
export async function writeText(p: UserProcess, fd: number, text: string): Promise<void> {
  await writeBytes(p, fd, utf8Encode(text));
}

/** Bytes that a program's standard output collects before it writes them. */
export const STREAM_BUFFER = 4096;

/** Write as a fully buffered stream does: a buffer at a time. */
export async function writeStream(p: UserProcess, fd: number, text: string): Promise<void> {
  const bytes = utf8Encode(text);
  for (let at = 0; at < bytes.length; at += STREAM_BUFFER) await writeBytes(p, fd, bytes.subarray(at, at + STREAM_BUFFER));
}

/** Write line by line, as a line-buffered stream does: each store of an attribute gets one line. */
export async function writeLines(p: UserProcess, fd: number, text: string): Promise<void> {
  for (const line of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) await writeText(p, fd, line);
}

/** Write where nobody minds a closed or broken stream: diagnostics. */
export async function complain(p: UserProcess, text: string): Promise<void> {
  try {
    await writeText(p, 2, text);
  } catch (error) {
    if (!refusedWith(error, 'EBADF', 'EPIPE', 'ENOSPC', 'EINVAL', 'EIO', 'EBUSY', 'ENODEV')) throw error;
  }
}

/** All bytes up to the end. */
export async function readBytes(p: UserProcess, fd: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (let chunk = await p.read(fd, 65536); chunk.length > 0; chunk = await p.read(fd, 65536)) {
    chunks.push(chunk);
    length += chunk.length;
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** All text up to the end. */
export async function readText(p: UserProcess, fd: number): Promise<string> {
  return utf8Decode(await readBytes(p, fd));
}

/** One line without reading past it, as `read` must; `null` at the end. @returns the line, with its newline if it has one */
export async function readLine(p: UserProcess, fd: number): Promise<string | null> {
  const bytes: number[] = [];
  for (;;) {
    const byte = (await p.read(fd, 1))[0];
    if (byte === undefined) break;
    bytes.push(byte);
    if (byte === 0x0a) break;
  }
  return bytes.length === 0 ? null : utf8Decode(Uint8Array.from(bytes));
}

/** Lines of a text, without their newlines; a last line without one counts. */
export function linesOf(text: string): string[] {
  if (text === '') return [];
  return (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');
}

/** Order of the C locale: by code point, as bytes compare. */
export function byBytes(a: string, b: string): number {
  const [x, y] = [utf8Encode(a), utf8Encode(b)];
  for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return x[i] - y[i];
  return x.length - y.length;
}
