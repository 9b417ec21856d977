/** `timeout` of coreutils 9.1: a signal ends what takes too long. */
import { SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM } from '@vdpalab/uapi';
import type { Applet, Program } from '../program.ts';
import { signalNumber } from '../signals.ts';
import { refusedWith } from '../system.ts';
import { options } from './options.ts';

const TIMED_OUT = 124;
const CANCELED = 125;
const NOT_FOUND = 127;

/** Nanoseconds of `1.5`, `2s`, `1m`; `null` for what is no interval. */
export function interval(text: string): number | null {
  if (/^inf(inity)?$/i.test(text)) return Infinity;
  const m = /^(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+)([smhd]?)$/i.exec(text);
  return m === null ? null : Number(m[1]) * ({ s: 1, m: 60, h: 3600, d: 86400 }[m[2] ?? ''] ?? 1) * 1e9;
}

async function refuse(c: Program, problem: string): Promise<number> {
  await c.err(`${problem === '' ? '' : `timeout: ${problem}\n`}Try 'timeout --help' for more information.\n`);
  return CANCELED;
}

export const timeout: Applet = async (c) => {
  const o = await options(c, 'k:s:v', { 'kill-after': 'k', signal: 's', foreground: 'F', 'preserve-status': 'P', verbose: 'v' }, { stop: true });
  const [limit, ...argv] = o.operands;
  if (limit === undefined || argv.length === 0) return refuse(c, '');
  let signal = signalNumber(o.get('s') ?? 'TERM');
  if (signal === null) return refuse(c, `'${o.get('s')}': invalid signal`);
  const after = o.get('k');
  for (const text of [...(after === undefined ? [] : [after]), limit]) if (interval(text) === null) return refuse(c, `invalid time interval '${text}'`);
  if (!argv[0].includes('/') && !c.launch.hasProgram(argv[0])) return c.fail(`failed to run command '${argv[0]}': No such file or directory`, NOT_FOUND);

  const { p } = c;
  if (!o.has('F')) p.setpgid();
  let killAfter = after === undefined ? 0 : interval(after) ?? 0;
  let timedOut = false;
  const child = await c.launch.start(argv);
  const send = (pid: number, what: number): void => {
    if (pid === 0) p.sigaction(what, 'ignore');
    try {
      p.kill(pid, what);
    } catch (error) {
      if (!refusedWith(error, 'ESRCH')) throw error;
    }
  };
  const end = (what: number): void => {
    send(child.pid, what);
    if (o.has('F')) return;
    if (what === SIGKILL) {
      p.kill(0, SIGKILL);
      return;
    }
    send(0, what);
    send(child.pid, SIGCONT);
  };
  const handle = (came: number): void => {
    if (came === SIGALRM) timedOut = true;
    const what = came === SIGALRM ? signal ?? SIGTERM : came;
    if (killAfter > 0) {
      signal = SIGKILL;
      p.alarm(killAfter);
      killAfter = 0;
    }
    end(what);
  };
  for (const caught of [SIGALRM, SIGINT, SIGQUIT, SIGHUP, SIGTERM]) p.sigaction(caught, handle);
  const ns = interval(limit) ?? 0;
  if (ns > 0 && ns !== Infinity) p.alarm(ns);
  const status = await child.wait();
  p.alarm(0);
  const ended = status & 0x7f;
  if (timedOut && !o.has('P') && ended !== SIGKILL) return TIMED_OUT;
  if (ended !== 0) return 128 + ended;
  return (status >> 8) & 0xff;
};
