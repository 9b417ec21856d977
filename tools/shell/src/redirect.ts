/** Redirections, on the descriptors of the calling process. */
import type { UserProcess } from '@vdpalab/lab';
import { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } from '@vdpalab/uapi';
import type { Redirection } from 'unbash';
import type { Expander } from './expand.ts';
import { RedirectError, ShellError } from './state.ts';
import { writeText } from './streams.ts';
import { errorText } from './system.ts';

/** A descriptor as it was before a redirection. */
export interface Saved {
  readonly fd: number;
  /** Where its file was put aside; `null` when it was closed. */
  readonly copy: number | null;
}

/** Descriptors that the shell puts files aside at begin here, as bash's do. */
const FIRST_SAVED = 10;
/** What fits into a pipe, in bytes; longer here-documents go through a file. */
const PIPE_SIZE = 65536;

const FLAGS: Readonly<Record<string, number>> = {
  '<': O_RDONLY, '>': O_WRONLY | O_CREAT | O_TRUNC, '>|': O_WRONLY | O_CREAT | O_TRUNC, '>>': O_WRONLY | O_CREAT | O_APPEND, '<>': O_RDWR | O_CREAT,
  '&>': O_WRONLY | O_CREAT | O_TRUNC, '&>>': O_WRONLY | O_CREAT | O_APPEND,
};

/**
 * Carry out redirections in their order.
 *
 * @param saved where what was there before is put down, for {@link restore}; absent: nothing is kept
 * @throws ShellError with bash's message; those already done stay done
 */
export async function redirect(e: Expander, redirections: readonly Redirection[], saved?: Saved[]): Promise<void> {
  for (const one of redirections) await redirectOne(e, one, saved);
}

async function redirectOne(e: Expander, one: Redirection, saved: Saved[] | undefined): Promise<void> {
  const { p } = e.state;
  if (one.type !== 'Redirect') {
    const text = one.type === 'HereDoc' ? await e.body(one.delimiter?.quoted === true ? undefined : one.body.parts, one.body.text, one.operator === '<<-')
      : `${one.target === undefined ? '' : await e.text(one.target)}\n`;
    await put(e, await hereDocument(p, text), await target(e, one, 0), saved);
    return;
  }
  const words = one.target === undefined ? [] : await e.fields([one.target]);
  if (words.length !== 1) throw new ShellError(`${one.target?.text ?? ''}: ambiguous redirect`, 1, false);
  const word = words[0];
  const input = one.operator.startsWith('<');
  if (one.operator === '>&' || one.operator === '<&') {
    if (one.operator === '>&' && one.descriptor === undefined && !/^(\d+|-|\d+-)$/.test(word)) {
      await openBoth(e, word, '&>', saved);
      return;
    }
    await duplicate(e, word, await target(e, one, input ? 0 : 1), saved);
    return;
  }
  if (one.operator === '&>' || one.operator === '&>>') {
    await openBoth(e, word, one.operator, saved);
    return;
  }
  await put(e, await open(p, word, FLAGS[one.operator] ?? O_RDONLY), await target(e, one, input ? 0 : 1), saved);
}

async function target(e: Expander, one: Redirection, usual: number): Promise<number> {
  if (one.descriptor === undefined) return usual;
  if (one.descriptor.type === 'FileDescriptor') return one.descriptor.value;
  const fd = freeFrom(e.state.p, FIRST_SAVED);
  e.state.set(one.descriptor.name, String(fd));
  return fd;
}

async function open(p: UserProcess, path: string, flags: number): Promise<number> {
  try {
    return await p.open(path, flags, 0o666);
  } catch (error) {
    throw new RedirectError(path, errorText(error), (flags & (O_WRONLY | O_RDWR)) === 0);
  }
}

async function openBoth(e: Expander, path: string, operator: string, saved: Saved[] | undefined): Promise<void> {
  await put(e, await open(e.state.p, path, FLAGS[operator]), 1, saved);
  await duplicate(e, '1', 2, saved);
}

async function duplicate(e: Expander, word: string, to: number, saved: Saved[] | undefined): Promise<void> {
  const { p } = e.state;
  if (word === '-') {
    if (!p.proc.files.has(to)) return;
    await keep(e, to, saved);
    if (p.proc.files.has(to)) await p.close(to);
    return;
  }
  const m = /^(\d+)(-?)$/.exec(word);
  if (m === null) throw new ShellError(`${word}: ambiguous redirect`, 1, false);
  const from = Number(m[1]);
  if (!p.proc.files.has(from) || e.state.hidden.has(from)) throw new ShellError(`${from}: Bad file descriptor`, 1, false);
  if (from !== to) {
    await keep(e, to, saved);
    await p.dup(from, to);
    if (m[2] === '-') await p.close(from);
  }
}

/** Move an open descriptor to its place. */
async function put(e: Expander, from: number, to: number, saved: Saved[] | undefined): Promise<void> {
  if (from === to) {
    saved?.push({ fd: to, copy: null });
    return;
  }
  await keep(e, to, saved);
  await e.state.p.dup(from, to);
  await e.state.p.close(from);
}

async function keep(e: Expander, fd: number, saved: Saved[] | undefined): Promise<void> {
  if (saved === undefined) return;
  const { p, hidden } = e.state;
  if (!p.proc.files.has(fd)) {
    saved.push({ fd, copy: null });
    return;
  }
  const copy = freeFrom(p, FIRST_SAVED);
  await p.dup(fd, copy);
  hidden.add(copy);
  saved.push({ fd, copy });
}

/** Undo redirections. */
export async function restore(e: Expander, saved: readonly Saved[]): Promise<void> {
  const { p, hidden } = e.state;
  for (const { fd, copy } of saved.toReversed()) {
    if (copy === null) {
      if (p.proc.files.has(fd)) await p.close(fd);
      continue;
    }
    await p.dup(copy, fd);
    await p.close(copy);
    hidden.delete(copy);
  }
}

/** Forget what was put aside: the redirections stay, as `exec` wants them. */
export async function forget(e: Expander, saved: readonly Saved[]): Promise<void> {
  for (const { copy } of saved) {
    if (copy === null) continue;
    await e.state.p.close(copy);
    e.state.hidden.delete(copy);
  }
}

function freeFrom(p: UserProcess, first: number): number {
  let fd = first;
  while (p.proc.files.has(fd)) fd++;
  return fd;
}

/** A descriptor from which a text is read. */
async function hereDocument(p: UserProcess, text: string): Promise<number> {
  if (text.length * 3 < PIPE_SIZE) {
    const [read, write] = p.pipe();
    await writeText(p, write, text);
    await p.close(write);
    return read;
  }
  const path = `/tmp/sh-thd.${p.pid}`;
  const write = await p.open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  await writeText(p, write, text);
  await p.close(write);
  const read = await p.open(path, O_RDONLY);
  await p.unlink(path);
  return read;
}
