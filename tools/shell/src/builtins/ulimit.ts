/** `ulimit`, of the limits that processes here have. A limit has one value, soft and hard. */
import { CAP_SYS_RESOURCE, RLIMIT_MEMLOCK, RLIMIT_NOFILE } from '@vdpalab/uapi';
import type { Shell } from '../shell.ts';
import type { Builtin } from './builtin.ts';
import { builtinOutput } from './output.ts';

interface Limit {
  /** RLIMIT_* */
  readonly resource: number;
  /** What one of the command's numbers counts. */
  readonly unit: number;
  readonly says: string;
}

const limits: ReadonlyMap<string, Limit> = new Map([
  ['l', { resource: RLIMIT_MEMLOCK, unit: 1024, says: 'max locked memory' }],
  ['n', { resource: RLIMIT_NOFILE, unit: 1, says: 'open files' }],
]);

const LETTERS = 'SHabcdefiklmnpqrstuvxPRT';

/** Options, and what follows them. @returns `null` for one that does not exist, which was complained about */
async function parse(shell: Shell, argv: readonly string[]): Promise<{ resources: string[]; value: string | undefined } | null> {
  const resources: string[] = [];
  let i = 1;
  for (; argv[i]?.startsWith('-') === true && argv[i] !== '--'; i++) {
    for (const letter of (argv[i] as string).slice(1)) { // just looked at
      if (!LETTERS.includes(letter)) {
        await shell.complain(`ulimit: -${letter}: invalid option\nulimit: usage: ulimit [-${LETTERS}] [limit]`);
        return null;
      }
      if (letter !== 'S' && letter !== 'H') resources.push(letter);
    }
  }
  return { resources, value: argv[argv[i] === '--' ? i + 1 : i] };
}

/** Set one limit. @returns the status */
async function setLimit(shell: Shell, { resource, unit, says }: Limit, text: string): Promise<number> {
  const { rlimits, cred } = shell.p.proc;
  if (!/^(?:\d+|unlimited|soft|hard)$/.test(text)) {
    await shell.complain(`ulimit: ${text}: invalid number`);
    return 1;
  }
  const now = rlimits.get(resource) ?? Infinity;
  if (text === 'soft' || text === 'hard') return 0;
  const wanted = text === 'unlimited' ? Infinity : Number(text) * unit;
  if (wanted > now && !cred.caps.has(CAP_SYS_RESOURCE)) {
    await shell.complain(`ulimit: ${says}: cannot modify limit: Operation not permitted`);
    return 1;
  }
  rlimits.set(resource, wanted);
  return 0;
}

export const ulimit: Builtin = async (shell, argv) => {
  const parsed = await parse(shell, argv);
  if (parsed === null) return 2;
  const { resources, value } = parsed;
  const known = resources.flatMap((letter) => limits.get(letter) ?? []);
  if (value !== undefined) {
    for (const limit of known) {
      const status = await setLimit(shell, limit, value);
      if (status !== 0) return status;
    }
    return 0;
  }
  if (known.length === 0) return builtinOutput(shell, 'ulimit', resources.length === 0 ? 'unlimited\n' : '');
  const [{ resource, unit }] = known as [Limit]; // of several, the first
  const now = shell.p.proc.rlimits.get(resource) ?? Infinity;
  return builtinOutput(shell, 'ulimit', now === Infinity ? 'unlimited\n' : `${Math.floor(now / unit)}\n`);
};
