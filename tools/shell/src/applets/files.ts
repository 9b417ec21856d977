/** Programs on files: stat, readlink, realpath, mkdir, rm, cp, mv, ln, touch, cmp, diff ... */
import type { Stat } from '@vdpalab/fs';
import type { UserProcess } from '@vdpalab/lab';
import { O_CREAT, O_TRUNC, O_WRONLY } from '@vdpalab/uapi';
import { joinPath } from '../path-text.ts';
import type { Applet, Program } from '../program.ts';
import { readBytes, writeBytes } from '../streams.ts';
import { errorText, refusedWith } from '../system.ts';
import { cmp, diff } from './diff.ts';
import { chmod, chown, touch } from './mode.ts';
import { missingOperand, options, quoteName } from './options.ts';
import { formatDate, groupName, kindName, modeString, userName } from './stat-text.ts';

const stat: Applet = async (c) => {
  const o = await options(c, 'c:Ltp:f', { 'file-system': 'f', format: 'c', dereference: 'L', terse: 't', printf: 'p' });
  if (o.operands.length === 0) return missingOperand(c);
  let status = 0;
  for (const path of o.operands) {
    try {
      if (o.has('f')) {
        await c.p.stat(path);
        c.out(`${(o.get('c') ?? '%T').replace(/%T/g, fileSystemOf(path))}\n`);
        continue;
      }
      const s = o.has('L') ? await c.p.stat(path) : await c.p.lstat(path);
      const target = s.kind === 'link' ? await c.p.readlink(path) : null;
      c.out(`${(o.get('c') ?? o.get('p') ?? usualFormat(s)).replace(/%([a-zA-Z%])/g, (all, letter: string) => statField(letter, path, s, target) ?? (all === '' ? all : '?'))}${o.has('p') ? '' : '\n'}`.replace(o.has('p') ? /\\n/g : /(?!)/, '\n'));
    } catch (error) {
      status = await c.fail(`cannot stat${o.has('L') ? '' : 'x'} ${quoteName(path)}: ${errorText(error)}`);
    }
  }
  return status;
};

/** What `stat -f` calls the file system of a path. */
function fileSystemOf(path: string): string {
  return path.startsWith('/sys') ? 'sysfs' : path.startsWith('/proc') ? 'proc' : 'tmpfs';
}

function usualFormat(s: Stat): string {
  return `  File: %N\n  Size: %s\t\tBlocks: %b\t   IO Block: 4096   %F\nDevice: 0,5\tInode: %i\tLinks: %h${s.rdev === null ? '' : '\tDevice type: %t,%T'}\nAccess: (%a/%A)  Uid: (%u/%U)   Gid: (%g/%G)\nModify: %y`;
}

function statField(letter: string, path: string, s: Stat, target: string | null): string | undefined {
  switch (letter) {
    case 'a': return s.mode.toString(8);
    case 'A': return modeString(s);
    case 'n': return path;
    case 'N': return quoteName(path) + (target === null ? '' : ` -> ${quoteName(target)}`);
    case 'F': return kindName(s);
    case 't': return (s.rdev?.major ?? 0).toString(16);
    case 'T': return (s.rdev?.minor ?? 0).toString(16);
    case 's': return String(s.size);
    case 'i': return String(s.ino);
    case 'h': return String(s.nlink);
    case 'u': return String(s.uid);
    case 'U': return userName(s.uid);
    case 'g': return String(s.gid);
    case 'G': return groupName(s.gid);
    case 'b': return '0';
    case 'B': return '512';
    case 'Y': case 'X': case 'Z': return String(Math.floor(s.mtime));
    case 'y': case 'x': case 'z': return formatDate(s.mtime, '%F %T.000000000 +0000');
    case 'f': return (({ dir: 0o40000, file: 0o100000, link: 0o120000, chr: 0o20000, blk: 0o60000, fifo: 0o10000, sock: 0o140000 })[s.kind] | s.mode).toString(16);
    case '%': return '%';
    default: return undefined;
  }
}

/** A path without links, `..` or double slashes. @throws the errno of a part that is not there, except the last when `missing` allows */
export async function canonical(p: UserProcess, path: string, missing: 'none' | 'last' | 'all', depth = 0): Promise<string> {
  if (depth > 40) await p.stat(path);
  const parts = (path.startsWith('/') ? path : `${p.proc.cwd}/${path}`).split('/').filter((part) => part !== '' && part !== '.');
  let at = '';
  for (const [i, part] of parts.entries()) {
    if (part === '..') {
      at = at.slice(0, Math.max(0, at.lastIndexOf('/')));
      continue;
    }
    const next = `${at}/${part}`;
    let kind: Stat['kind'] = 'file';
    try {
      kind = (await p.lstat(next)).kind;
    } catch (error) {
      if (!refusedWith(error, 'ENOENT') || missing === 'none' || (missing === 'last' && i < parts.length - 1)) throw error;
    }
    if (kind !== 'link') {
      at = next;
      continue;
    }
    const target = await p.readlink(next);
    const rest = parts.slice(i + 1).join('/');
    return canonical(p, `${target.startsWith('/') ? target : `${at}/${target}`}/${rest}`, missing, depth + 1);
  }
  return at === '' ? '/' : at;
}

const readlink: Applet = async (c) => {
  const o = await options(c, 'fenmqsvz', { canonicalize: 'f', 'canonicalize-existing': 'e', 'canonicalize-missing': 'm', 'no-newline': 'n', verbose: 'v' });
  if (o.operands.length === 0) return missingOperand(c);
  let status = 0;
  for (const path of o.operands) {
    try {
      const text = o.has('f', 'e', 'm') ? await canonical(c.p, path, o.has('e') ? 'none' : o.has('m') ? 'all' : 'last') : await c.p.readlink(path);
      c.out(text + (o.has('n') && o.operands.length === 1 ? '' : '\n'));
    } catch (error) {
      const text = errorText(error);
      if (o.has('v')) await c.err(`readlink: ${path}: ${text}\n`);
      status = 1;
    }
  }
  return status;
};

const realpath: Applet = async (c) => {
  const o = await options(c, 'emqsLPz', { 'canonicalize-existing': 'e', 'canonicalize-missing': 'm', 'no-symlinks': 's' });
  if (o.operands.length === 0) return missingOperand(c);
  let status = 0;
  for (const path of o.operands) {
    try {
      c.out(`${o.has('s') ? joinPath(c.p.proc.cwd, path) : await canonical(c.p, path, o.has('e') ? 'none' : o.has('m') ? 'all' : 'last')}\n`);
    } catch (error) {
      const text = errorText(error);
      status = 1;
      if (!o.has('q')) await c.err(`realpath: ${path}: ${text}\n`);
    }
  }
  return status;
};

/** Last part of a path. */
export function baseName(path: string): string {
  return /([^/]*)\/*$/.exec(path)?.[1] || (path.startsWith('/') ? '/' : '');
}

/** All but the last part of a path. */
export function dirName(path: string): string {
  const m = /^(.*?)\/*[^/]*\/*$/s.exec(path);
  return m === null || m[1] === '' ? (path.startsWith('/') ? '/' : '.') : m[1].replace(/\/+$/, '') || '/';
}

const basename: Applet = async (c) => {
  const o = await options(c, 'as:', { multiple: 'a', suffix: 's' });
  if (o.operands.length === 0) return missingOperand(c);
  const many = o.has('a', 's');
  const suffix = many ? o.get('s') ?? '' : o.operands[1] ?? '';
  for (const path of many ? o.operands : o.operands.slice(0, 1)) {
    const base = baseName(path);
    c.out(`${suffix !== '' && base !== suffix && base.endsWith(suffix) ? base.slice(0, -suffix.length) : base}\n`);
  }
  return 0;
};

/** Do something to each operand; report refusals with a verb. */
async function each(c: Program, operands: readonly string[], verb: string, body: (path: string) => Promise<void>): Promise<number> {
  if (operands.length === 0) return missingOperand(c);
  let status = 0;
  for (const path of operands) {
    try {
      await body(path);
    } catch (error) {
      status = await c.fail(error instanceof Refused ? error.message : `${verb} ${quoteName(path)}: ${errorText(error)}`);
    }
  }
  return status;
}

/** A refusal whose message is of its own. */
class Refused extends Error {}

const mkdir: Applet = async (c) => {
  const o = await options(c, 'pm:v', { parents: 'p', mode: 'm', verbose: 'v' });
  const mode = o.has('m') ? Number.parseInt(o.get('m') ?? '777', 8) : 0o777;
  return each(c, o.operands, 'cannot create directory', async (path) => {
    if (!o.has('p')) {
      await c.p.mkdir(path, mode);
      if (o.has('v')) c.out(`mkdir: created directory ${quoteName(path)}\n`);
      return;
    }
    const parts = path.split('/');
    for (let i = 1; i <= parts.length; i++) {
      const part = parts.slice(0, i).join('/');
      if (part === '') continue;
      try {
        await c.p.mkdir(part, mode);
      } catch (error) {
        const there = refusedWith(error, 'EEXIST', 'EPERM', 'EACCES') ? await quietStat(c, part) : null;
        if (there?.kind === 'dir') continue;
        if (there === null || i === parts.length) throw error;
        throw new Refused(`cannot create directory ${quoteName(part)}: Not a directory`);
      }
    }
  });
};

const rm: Applet = async (c) => {
  const o = await options(c, 'rRfidv', { recursive: 'r', force: 'f', verbose: 'v' });
  if (o.operands.length === 0) return o.has('f') ? 0 : missingOperand(c);
  let status = 0;
  const remove = async (path: string): Promise<void> => {
    try {
      const { kind } = await c.p.lstat(path);
      if (kind !== 'dir') {
        await c.p.unlink(path);
        if (o.has('v')) c.out(`removed ${quoteName(path)}\n`);
        return;
      }
      if (!o.has('r', 'R', 'd')) {
        status = await c.fail(`cannot remove ${quoteName(path)}: Is a directory`);
        return;
      }
      if (!o.has('d')) for (const { name } of await c.p.readdir(path)) await remove(`${path.replace(/\/$/, '')}/${name}`);
      await c.p.rmdir(path);
      if (o.has('v')) c.out(`removed directory ${quoteName(path)}\n`);
    } catch (error) {
      const text = errorText(error);
      if (o.has('f') && refusedWith(error, 'ENOENT', 'ENOTDIR')) return;
      status = await c.fail(`cannot remove ${quoteName(path)}: ${text}`);
    }
  };
  for (const path of o.operands) await remove(path);
  return status;
};

/** Destination of each source: into a directory, or the name itself. @returns `null` after a complaint */
async function destinations(c: Program, operands: readonly string[]): Promise<{ from: string; to: string }[] | null> {
  if (operands.length < 2) {
    await (operands.length === 0 ? c.err(`${c.name}: missing file operand\nTry '${c.name} --help' for more information.\n`) : missingOperand(c, operands[0]));
    return null;
  }
  const target = operands[operands.length - 1];
  const isDir = (await quietStat(c, target))?.kind === 'dir';
  if (operands.length > 2 && !isDir) {
    await c.err(`${c.name}: target ${quoteName(target)}: ${(await quietStat(c, target)) === null ? 'No such file or directory' : 'Not a directory'}\n`);
    return null;
  }
  return operands.slice(0, -1).map((from) => ({ from, to: isDir ? `${target.replace(/\/$/, '')}/${baseName(from)}` : target }));
}

async function quietStat(c: Program, path: string): Promise<Stat | null> {
  try {
    return await c.p.stat(path);
  } catch (error) {
    errorText(error);
    return null;
  }
}

const cp: Applet = async (c) => {
  const o = await options(c, 'rRapfdv', { recursive: 'r', archive: 'a', preserve: 'p', force: 'f', verbose: 'v' });
  const pairs = await destinations(c, o.operands);
  if (pairs === null) return 1;
  let status = 0;
  const copy = async (from: string, to: string): Promise<void> => {
    let source: Stat;
    try {
      source = o.has('a', 'd') ? await c.p.lstat(from) : await c.p.stat(from);
    } catch (error) {
      status = await c.fail(`cannot stat ${quoteName(from)}: ${errorText(error)}`);
      return;
    }
    if (source.kind === 'dir') {
      if (!o.has('r', 'R', 'a')) {
        status = await c.fail(`-r not specified; omitting directory ${quoteName(from)}`);
        return;
      }
      if ((await quietStat(c, to)) === null) await c.p.mkdir(to, source.mode);
      if (o.has('v')) c.out(`${quoteName(from)} -> ${quoteName(to)}\n`);
      for (const { name } of await c.p.readdir(from)) await copy(`${from}/${name}`, `${to}/${name}`);
      return;
    }
    if (source.kind === 'link') {
      await c.p.symlink(await c.p.readlink(from), to);
      return;
    }
    try {
      const read = await c.p.open(from);
      try {
        let write: number;
        try {
          write = await c.p.open(to, O_WRONLY | O_CREAT | O_TRUNC, source.mode);
        } catch (error) {
          status = await c.fail(`cannot create regular file ${quoteName(to)}: ${errorText(error)}`);
          return;
        }
        try {
          await writeBytes(c.p, write, await readBytes(c.p, read));
          if (o.has('v')) c.out(`${quoteName(from)} -> ${quoteName(to)}\n`);
        } finally {
          await c.p.close(write);
        }
      } finally {
        await c.p.close(read);
      }
    } catch (error) {
      status = await c.fail(`cannot open ${quoteName(from)} for reading: ${errorText(error)}`);
    }
  };
  for (const { from, to } of pairs) await copy(from, to);
  return status;
};

const mv: Applet = async (c) => {
  const o = await options(c, 'finv', { force: 'f', 'no-clobber': 'n', verbose: 'v' });
  const pairs = await destinations(c, o.operands);
  if (pairs === null) return 1;
  let status = 0;
  for (const { from, to } of pairs) {
    try {
      await c.p.lstat(from);
    } catch (error) {
      status = await c.fail(`cannot stat ${quoteName(from)}: ${errorText(error)}`);
      continue;
    }
    try {
      await c.p.rename(from, to);
      if (o.has('v')) c.out(`renamed ${quoteName(from)} -> ${quoteName(to)}\n`);
    } catch (error) {
      status = await c.fail(`cannot move ${quoteName(from)} to ${quoteName(to)}: ${errorText(error)}`);
    }
  }
  return status;
};

const ln: Applet = async (c) => {
  const o = await options(c, 'sfnTrv', { symbolic: 's', force: 'f', 'no-dereference': 'n' });
  const [target, given] = o.operands;
  if (target === undefined) {
    await c.err("ln: missing file operand\nTry 'ln --help' for more information.\n");
    return 1;
  }
  if (!o.has('s')) {
    if ((await quietStat(c, target)) === null) return c.fail(`failed to access ${quoteName(target)}: No such file or directory`);
    return c.fail(`failed to create hard link ${quoteName(given ?? baseName(target))}: Operation not permitted`);
  }
  const isDir = given !== undefined && !o.has('n', 'T') && (await quietStat(c, given))?.kind === 'dir';
  const path = given === undefined ? baseName(target) : isDir ? `${given}/${baseName(target)}` : given;
  try {
    if (o.has('f')) await c.p.unlink(path).catch((error: unknown) => void errorText(error));
    await c.p.symlink(target, path);
    return 0;
  } catch (error) {
    return c.fail(`failed to create symbolic link ${quoteName(path)}: ${errorText(error)}`);
  }
};

const mktemp: Applet = async (c) => {
  const o = await options(c, 'dut:p:', { directory: 'd' });
  const template = o.operands[0] ?? '/tmp/tmp.XXXXXXXXXX';
  for (let n = 0; ; n++) {
    const path = template.replace(/X{3,}$/, (xs) => n.toString(36).padStart(xs.length, '0'));
    if ((await quietStat(c, path)) !== null) continue;
    if (o.has('d')) await c.p.mkdir(path, 0o700);
    else await c.p.close(await c.p.open(path, O_WRONLY | O_CREAT, 0o600));
    c.out(`${path}\n`);
    return 0;
  }
};

export const fileApplets: [string, Applet][] = [
  ['stat', stat], ['readlink', readlink], ['realpath', realpath], ['basename', basename], ['mkdir', mkdir], ['rm', rm], ['cp', cp], ['mv', mv],
  ['ln', ln], ['touch', touch], ['cmp', cmp], ['diff', diff], ['chmod', chmod], ['chown', chown], ['chgrp', chown], ['mktemp', mktemp],
  ['dirname', async (c) => {
    const o = await options(c, 'z');
    if (o.operands.length === 0) return missingOperand(c);
    for (const path of o.operands) c.out(`${dirName(path)}\n`);
    return 0;
  }],
  ['rmdir', async (c) => {
    const o = await options(c, 'pv', { parents: 'p', verbose: 'v' });
    return each(c, o.operands, 'failed to remove', async (path) => {
      if (o.has('v')) c.out(`rmdir: removing directory, ${quoteName(path)}\n`);
      await c.p.rmdir(path);
    });
  }],
  ['unlink', async (c) => each(c, c.args, 'cannot unlink', (path) => c.p.unlink(path))],
];
