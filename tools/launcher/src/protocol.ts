/**
 * The control socket's language: one JSON object a line, both ways. Bytes are strings of code points 0 to 255.
 *
 * A connection makes one request and is told what comes of it:
 *
 * | request | answers |
 * |---|---|
 * | `{"op":"run","argv":[...],"cwd":"/","env":{}}` | `out`, `err`, `want`, `fetch`, in the end `exit` |
 * | `{"op":"shell"}` | `out`, `err`, and per line `prompt`, in the end `exit` |
 * | `{"op":"attach","pid":N,"argv":[...]}` | `attached`; lasts until the connection ends |
 * | `{"op":"trap","pid":N,"listener":FD,"families":[...]}` | `trapped`, once calls of the filter are answered |
 * | `{"op":"status"}` | `status` |
 * | `{"op":"down"}` | `left` |
 *
 * Anything else is answered by `error`, and the connection ends.
 */

import { isFamilyName, type FamilyName } from './trap/family-names.ts';

/** Characters a line may have. */
export const MAX_LINE = 1 << 20;
/** Bytes of a file that a caller may hand over, as `insmod ./x.ko` does. */
export const MAX_FILE = 64 << 20;
/** Largest number of a process or a descriptor. */
const MAX_NUMBER = 0x7fffffff;
/** Bytes in one message. */
export const CHUNK = 1 << 16;

/** What a client asks first. */
export type Request =
  | { readonly op: 'run'; readonly argv: readonly string[]; readonly cwd: string; readonly env: Readonly<Record<string, string>> }
  | { readonly op: 'shell' }
  | { readonly op: 'attach'; readonly pid: number; readonly argv: readonly string[] }
  /** A process has installed a filter whose calls the lab is to answer. */
  | { readonly op: 'trap'; readonly pid: number; readonly listener: number; readonly families: readonly FamilyName[] }
  | { readonly op: 'status' }
  | { readonly op: 'down' };

/** What a client says later. */
export type Followup =
  /** Bytes of standard input, or of a file; empty at the end. */
  | { readonly in: string }
  /** What was asked for by `fetch` is not there. */
  | { readonly none: true }
  | { readonly signal: number }
  /** Of a shell. */
  | { readonly line: string }
  | { readonly complete: string }
  | { readonly cancel: true };

/** A running lab, as `vdpalab status` tells. */
export interface LabStatus {
  readonly name: string;
  readonly pid: number;
  readonly lab: string | null;
  /** Milliseconds. */
  readonly uptime: number;
  readonly modules: number;
  /** Programs in its namespace that were started by `exec`. */
  readonly attached: readonly { readonly pid: number; readonly argv: readonly string[] }[];
  /** Why real programs cannot enter; `null` when they can. */
  readonly closed: string | null;
}

/** How a client enters the namespace of a lab. */
export interface Entrance {
  /** A process in it. */
  readonly pid: number;
  /** Whether a user namespace is to be entered too. */
  readonly user: boolean;
}

/** What a client is told. */
export type Answer =
  | { readonly out: string }
  | { readonly err: string }
  /** Standard input is wanted, at most so many bytes. */
  | { readonly want: number }
  /** A file of the caller's is wanted. */
  | { readonly fetch: string }
  /** `signal` is what ended it, if one did. */
  | { readonly exit: number; readonly signal?: number }
  | { readonly prompt: string; readonly last: number }
  | { readonly completions: readonly string[]; readonly word: string }
  | { readonly attached: Entrance }
  | { readonly trapped: true }
  | { readonly status: LabStatus }
  | { readonly left: readonly string[] }
  | { readonly error: string };

/** A message that is none. */
export class ProtocolError extends Error {
  constructor(text: string) {
    super(text);
    this.name = 'ProtocolError';
  }
}

export const toText = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
export const toBytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

/** A message as it is sent. */
export function encode(message: Request | Followup | Answer): string {
  return `${JSON.stringify(message)}\n`;
}

/** Makes lines of what comes. */
export class LineSplitter {
  #rest = '';

  /** @returns the lines that are whole now. @throws ProtocolError for a line without end */
  push(text: string): string[] {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() as string; // split gives at least one
    if (this.#rest.length > MAX_LINE || lines.some((line) => line.length > MAX_LINE)) throw new ProtocolError('a line is too long');
    return lines;
  }
}

function objectOf(line: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new ProtocolError('not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ProtocolError('not an object');
  return value as Readonly<Record<string, unknown>>;
}

const isText = (value: unknown): value is string => typeof value === 'string' && !value.includes('\0');
const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText);
const isNumber = (value: unknown, max: number): value is number => typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;

/** The first line of a client. @throws ProtocolError */
export function parseRequest(line: string): Request {
  const { op, argv, cwd, env, pid, listener, families } = objectOf(line);
  if (op === 'status' || op === 'down' || op === 'shell') return { op };
  if (op === 'trap') {
    if (!isNumber(pid, MAX_NUMBER) || !isNumber(listener, MAX_NUMBER)) throw new ProtocolError('pid and listener are no numbers of a process and its descriptor');
    if (!isTexts(families) || !families.every(isFamilyName)) throw new ProtocolError('families is no list of kinds of calls');
    return { op, pid, listener, families };
  }
  if (!isTexts(argv) || argv.length === 0) throw new ProtocolError('argv is no list of words');
  if (op === 'attach') {
    if (!isNumber(pid, MAX_NUMBER)) throw new ProtocolError('pid is no number of a process');
    return { op, pid, argv };
  }
  if (op !== 'run') throw new ProtocolError('no such request');
  if (!isText(cwd) || !cwd.startsWith('/')) throw new ProtocolError('cwd is no absolute path');
  if (typeof env !== 'object' || env === null || !Object.entries(env).every(([name, value]) => /^[^=\0]+$/.test(name) && isText(value))) throw new ProtocolError('env is no table of texts');
  return { op, argv, cwd, env: env as Record<string, string> };
}

/** A later line of a client. @throws ProtocolError */
export function parseFollowup(line: string): Followup {
  const message = objectOf(line);
  if (typeof message['in'] === 'string' && message['in'].length <= CHUNK) return { in: message['in'] };
  if (message['none'] === true) return { none: true };
  if (isNumber(message['signal'], 31) && message['signal'] > 0) return { signal: message['signal'] };
  if (isText(message['line'])) return { line: message['line'] };
  if (isText(message['complete'])) return { complete: message['complete'] };
  if (message['cancel'] === true) return { cancel: true };
  throw new ProtocolError('no such message');
}

/** What a lab says. It is trusted: who could put another one at the socket's place could run programs as this user. */
export function parseAnswer(line: string): Answer {
  return objectOf(line) as Answer;
}
