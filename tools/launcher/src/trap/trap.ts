/** Starting a command whose calls are trapped. */
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Lab } from '@vdpalab/lab';
import { hostAvailable, HostUnavailableError, takeFd, trapFilter, whyNoSeccomp } from '@vdpalab/libc';
import { callFamilies, familyNames, type FamilyName } from './families.ts';
import { HostProcesses } from './host-process.ts';
import { TrapSupervisor } from './supervisor.ts';

/** The built program that installs the filter. */
const START = fileURLToPath(new URL('../../dist/trap/start.js', import.meta.url));

/** Calls cannot be trapped here; the message says why. */
export class TrapUnavailableError extends Error {
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
 * What a trap is made of: the words to put before the command's, and who then answers.
 *
 * Start the words with `channel` of the child a socket (`stdio: [..., 'pipe']`), and give this side's end to {@link Trap.supervise}.
 */
export interface Trap {
  readonly words: readonly string[];
  /**
   * Wait until the filter is installed, and let the command begin.
   *
   * @returns `null` when the child ended before: it has said why
   */
  readonly supervise: (channel: Duplex) => Promise<TrapSupervisor | null>;
}

/** Options of a trap. */
export interface TrapOptions {
  readonly lab: Lab;
  /** Descriptor of the child that is its end of the channel. */
  readonly channel: number;
  /** Absent: all kinds of calls. */
  readonly families?: readonly FamilyName[];
  /** Told of what should not happen. */
  readonly report: (text: string) => void;
}

/** @throws TrapUnavailableError */
export function createTrap({ lab, channel, families = familyNames, report }: TrapOptions): Trap {
  requireTrap();
  const rules = callFamilies(lab, new HostProcesses(lab), families).flatMap((family) => family.rules);
  return {
    words: [process.execPath, START, String(channel), Buffer.from(trapFilter(rules)).toString('base64')],
    supervise: async (stream) => {
      const line = await firstLine(stream);
      if (line === null) return null;
      const [pid, listener] = line.split(' ').map(Number) as [number, number]; // start.ts writes them
      const supervisor = new TrapSupervisor(takeFd(pid, listener), { lab, families, report });
      stream.end('g');
      return supervisor;
    },
  };
}

/** @returns `null` at the end */
function firstLine(stream: Duplex): Promise<string | null> {
  return new Promise((resolve) => {
    let text = '';
    stream.setEncoding('utf8');
    stream.on('data', (part: string) => {
      text += part;
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
    });
    stream.on('error', () => resolve(null)).on('close', () => resolve(null)).on('end', () => resolve(null));
  });
}
