/** Modes and owners: chmod, chown, chgrp, touch. */
import type { Stat } from '@vdpalab/fs';
import { O_CREAT, O_WRONLY } from '@vdpalab/uapi';
import type { Applet, Program } from '../program.ts';
import { errorText, refusedWith } from '../system.ts';
import { options, quoteName } from './options.ts';
import { userId } from './stat-text.ts';

const UMASK = 0o022;

/** The mode that a text makes of another: `755`, `u+x`, `go-w,a=r`; `null` for no mode. */
export function changedMode(text: string, mode: number, isDir: boolean): number | null {
  if (/^[0-7]{1,4}$/.test(text)) return Number.parseInt(text, 8);
  let now = mode;
  for (const clause of text.split(',')) {
    const m = /^([ugoa]*)((?:[-+=][rwxXstugo]*)+)$/.exec(clause);
    if (m === null) return null;
    const [, whoText, changes] = m;
    const who = whoText === '' || whoText.includes('a') ? 'ugo' : whoText;
    for (const [, operator, letters] of changes.matchAll(/([-+=])([rwxXstugo]*)/g)) {
      let bits = 0;
      for (const one of who) bits |= bitsFor(one, letters, now, isDir);
      if (whoText === '') bits &= ~UMASK;
      const field = [...who].reduce((sum, one) => sum | ({ u: 0o4700, g: 0o2070, o: 0o1007 }[one] ?? 0), 0);
      now = operator === '+' ? now | bits : operator === '-' ? now & ~bits : (now & ~(field & (isDir ? 0o777 : 0o7777))) | bits;
    }
  }
  return now;
}

function bitsFor(who: string, letters: string, mode: number, isDir: boolean): number {
  const shift = { u: 6, g: 3, o: 0 }[who] ?? 0;
  let bits = 0;
  for (const letter of letters) {
    if ('rwx'.includes(letter)) bits |= ({ r: 4, w: 2, x: 1 }[letter] ?? 0) << shift;
    else if (letter === 'X') bits |= isDir || (mode & 0o111) !== 0 ? 1 << shift : 0;
    else if (letter === 's') bits |= { u: 0o4000, g: 0o2000, o: 0 }[who] ?? 0;
    else if (letter === 't') bits |= 0o1000;
    else bits |= ((mode >> ({ u: 6, g: 3, o: 0 }[letter] ?? 0)) & 7) << shift;
  }
  return bits;
}

async function missing(c: Program, after: string | undefined): Promise<number> {
  await c.err(`${c.name}: missing operand${after === undefined ? '' : ` after ${quoteName(after)}`}\nTry '${c.name} --help' for more information.\n`);
  return 1;
}

/** Do something to each name, and to all below a directory when asked to. */
async function eachBelow(c: Program, paths: readonly string[], recursive: boolean, verb: string, body: (path: string, stat: Stat) => Promise<void>): Promise<number> {
  let status = 0;
  for (const path of paths) {
    let stat: Stat;
    try {
      stat = await c.p.stat(path);
    } catch (error) {
      status = await c.fail(`cannot access ${quoteName(path)}: ${errorText(error)}`);
      continue;
    }
    try {
      await body(path, stat);
    } catch (error) {
      status = await c.fail(`${verb} ${quoteName(path)}: ${errorText(error)}`);
    }
    if (!recursive || stat.kind !== 'dir') continue;
    const below = (await c.p.readdir(path)).filter((entry) => entry.kind !== 'link').map((entry) => `${path.replace(/\/$/, '')}/${entry.name}`);
    status = (await eachBelow(c, below, true, verb, body)) || status;
  }
  return status;
}

export const chmod: Applet = async (c) => {
  const isMode = (arg: string): boolean => /^-[rwxXst]/.test(arg); // chmod -x is a mode, not an option
  const at = c.args.findIndex(isMode);
  const o = await options(at < 0 ? c : Object.assign(Object.create(c) as Program, { args: [...c.args.slice(0, at), '--', ...c.args.slice(at)] }), 'Rfvc', { recursive: 'R', reference: ':' });
  const [text, ...paths] = o.operands;
  if (text === undefined || paths.length === 0) return missing(c, text);
  if (changedMode(text, 0, false) === null) {
    await c.err(`chmod: invalid mode: ${quoteName(text)}\nTry 'chmod --help' for more information.\n`);
    return 1;
  }
  return eachBelow(c, paths, o.has('R'), 'changing permissions of', (path, stat) => c.p.chmod(path, changedMode(text, stat.mode, stat.kind === 'dir') ?? stat.mode));
};

const groupId = (name: string): number | null => (name === 'nogroup' ? 65534 : userId(name));

export const chown: Applet = async (c) => {
  const o = await options(c, 'Rfvch', { recursive: 'R', 'no-dereference': 'h' });
  const [owner, ...paths] = o.operands;
  if (owner === undefined || paths.length === 0) return missing(c, owner);
  const [user, group] = c.name === 'chgrp' ? ['', owner] : owner.split(/[:.]/);
  const uid = user === '' || user === undefined ? -1 : userId(user);
  const gid = group === undefined ? -1 : group === '' ? uid : groupId(group);
  if (uid === null || gid === null) return c.fail(`invalid ${uid === null ? 'user' : 'group'}: ${quoteName(owner)}`);
  return eachBelow(c, paths, o.has('R'), `changing ${c.name === 'chgrp' ? 'group' : 'ownership'} of`, (path) => c.p.chown(path, uid, gid, !o.has('h')));
};

export const touch: Applet = async (c) => {
  const o = await options(c, 'acmhr:t:d:', { reference: 'r', date: 'd', 'no-create': 'c', 'no-dereference': 'h' });
  if (o.operands.length === 0) {
    await c.err("touch: missing file operand\nTry 'touch --help' for more information.\n");
    return 1;
  }
  let time: number | null = null;
  const [reference, date] = [o.get('r'), o.get('d')];
  if (reference !== undefined) {
    try {
      time = (await c.p.stat(reference)).mtime;
    } catch (error) {
      return c.fail(`failed to get attributes of ${quoteName(reference)}: ${errorText(error)}`);
    }
  }
  if (date !== undefined) {
    const ms = date.startsWith('@') ? Number(date.slice(1)) * 1000 : Date.parse(`${date.replace(' ', 'T')}${/[Zz]|[-+]\d\d:?\d\d$/.test(date) ? '' : date.includes(':') ? 'Z' : ''}`);
    if (Number.isNaN(ms)) return c.fail(`invalid date format ${quoteName(date)}`);
    time = Math.floor(ms / 1000);
  }
  let status = 0;
  for (const path of o.operands) {
    try {
      try {
        await c.p.utimes(path, time);
      } catch (error) {
        if (!refusedWith(error, 'ENOENT') || o.has('c')) {
          if (refusedWith(error, 'ENOENT')) continue;
          throw error;
        }
        await c.p.close(await c.p.open(path, O_WRONLY | O_CREAT, 0o666));
        if (time !== null) await c.p.utimes(path, time);
      }
    } catch (error) {
      status = await c.fail(`cannot touch ${quoteName(path)}: ${errorText(error)}`);
    }
  }
  return status;
};
