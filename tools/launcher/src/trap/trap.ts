/** Starting a command whose calls are trapped. */
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { hostAvailable, HostUnavailableError, trapFilter, whyNoSeccomp } from '@vdpalab/libc';
import { LauncherError } from '../errors.ts';
import { rulesOf } from './families.ts';
import { usualFamilies, type FamilyName } from './family-names.ts';

/** The built program that installs the filter. */
const START = fileURLToPath(new URL('../../dist/trap/start.js', import.meta.url));

/** Calls cannot be trapped here; the message says why. */
export class TrapUnavailableError extends LauncherError {
  constructor(reason: string) {
    super(`--trap: ${reason}`);
    this.name = 'TrapUnavailableError';
  }
}

/** @throws TrapUnavailableError without koffi, or where the host's kernel lacks what is needed */
export function requireTrap(): void {
  const reason = hostAvailable() ? whyNoSeccomp() : new HostUnavailableError(null).message;
  if (reason !== null) throw new TrapUnavailableError(reason);
}

/**
 * Words that stand before a command's, so that its calls are trapped.
 *
 * @param channel descriptor of the command at which a socket's end is: a further `'pipe'` of `stdio`
 * @param families kinds of calls; absent: the usual ones
 * @throws TrapUnavailableError
 */
export function trapWords(channel: number, families: readonly FamilyName[] = usualFamilies): string[] {
  requireTrap();
  return [process.execPath, START, String(channel), Buffer.from(trapFilter(rulesOf(families))).toString('base64')];
}

/** A filter that waits for its supervisor. */
export interface Installed {
  readonly pid: number;
  /** Descriptor of that process. */
  readonly listener: number;
}

/**
 * Wait until the filter is installed.
 *
 * @param channel this side's end
 * @returns `null` when the command ended before: it has said why
 */
export function installedTrap(channel: Duplex): Promise<Installed | null> {
  return new Promise((resolve) => {
    let text = '';
    channel.setEncoding('utf8');
    channel.on('data', (part: string) => {
      text += part;
      const [, pid, listener] = /^(\d+) (\d+)\n/.exec(text) ?? [];
      if (pid !== undefined) resolve({ pid: Number(pid), listener: Number(listener) });
    });
    channel.on('error', () => resolve(null)).on('close', () => resolve(null)).on('end', () => resolve(null));
  });
}

/** The supervisor is there: the command may begin. */
export function letBegin(channel: Duplex): void {
  channel.end('g');
}
