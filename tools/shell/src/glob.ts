/** Pathname expansion against the lab's tree, in the order of the C locale. */
import type { UserProcess } from '@vdpalab/lab';
import { isPattern, patternRegExp, unquotePattern } from './pattern.ts';
import { byBytes } from './streams.ts';
import { errorText } from './system.ts';

/** Paths that match a pattern; empty when none does. */
export async function glob(p: UserProcess, pattern: string): Promise<string[]> {
  const absolute = pattern.startsWith('/');
  const parts = pattern.split('/').filter((part, i, all) => part !== '' || i === all.length - 1);
  let found = [absolute ? '/' : ''];
  for (const [i, part] of parts.entries()) {
    const last = i === parts.length - 1;
    const next: string[] = [];
    for (const base of found) {
      if (part === '') next.push(base); // the pattern ends in a slash
      else if (!isPattern(part)) {
        const path = base + unquotePattern(part);
        if (await there(() => p.lstat(path))) next.push(last ? path : `${path}/`);
      } else {
        for (const name of await matches(p, base, part)) {
          const path = base + name;
          if (last) next.push(path);
          else if (await there(() => p.stat(`${path}/.`))) next.push(`${path}/`);
        }
      }
    }
    found = next;
  }
  return found.sort(byBytes);
}

async function matches(p: UserProcess, dir: string, part: string): Promise<string[]> {
  const re = patternRegExp(part, false);
  const names = await listed(p, dir === '' ? '.' : dir);
  const dotted = part.startsWith('.') || part.startsWith('\\.');
  return (dotted ? ['.', '..', ...names] : names).filter((name) => (dotted || !name.startsWith('.')) && re.test(name));
}

async function listed(p: UserProcess, dir: string): Promise<string[]> {
  try {
    return (await p.readdir(dir)).map((entry) => entry.name);
  } catch (error) {
    errorText(error); // a directory that cannot be read has no matches
    return [];
  }
}

async function there(call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    errorText(error);
    return false;
  }
}
