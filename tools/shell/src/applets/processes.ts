/** Programs about processes: kill, ps, nohup, nice, setsid, setpriv. */
import { SIGHUP } from '@vdpalab/uapi';
import type { Applet, Program } from '../program.ts';
import { describeSignal, signalNumber, signals } from '../signals.ts';
import { errorText, refusedWith } from '../system.ts';
import { options } from './options.ts';
import { userId, userName } from './stat-text.ts';

/** `kill` of procps, where the shell's own is not meant. */
const kill: Applet = async (c) => {
  let args = [...c.args];
  let word = 'TERM';
  if (args[0] === '-l' || args[0] === '-L') {
    if (args.length === 1) c.out(`${signals.map((signal) => signal.name).join(' ')}\n`);
    for (const name of args.slice(1)) c.out(`${/^\d+$/.test(name) ? describeSignal(Number(name) & 127).name : signalNumber(name) ?? ''}\n`);
    return 0;
  }
  if (args[0] === '-s') {
    word = args[1] ?? '';
    args = args.slice(2);
  } else if (args[0]?.startsWith('-') === true && args[0] !== '--') {
    word = args[0].slice(1);
    args = args.slice(1);
  }
  if (args[0] === '--') args = args.slice(1);
  const signal = signalNumber(word);
  if (signal === null || args.length === 0) {
    await c.err('\nUsage:\n kill [options] <pid> [...]\n');
    return 1;
  }
  let status = 0;
  for (const arg of args) {
    try {
      if (!/^-?\d+$/.test(arg)) status = await c.fail(`failed to parse argument: '${arg}'`);
      else c.p.kill(Number(arg), signal);
    } catch (error) {
      status = await c.fail(`(${arg}): ${errorText(error)}`);
    }
  }
  return status;
};

/** A process as /proc tells of it. */
interface Shown {
  readonly pid: number;
  readonly ppid: number;
  readonly pgid: number;
  readonly state: string;
  readonly comm: string;
  readonly args: string;
  readonly uid: number;
  readonly wchan: string;
}

async function processes(c: Program): Promise<Shown[]> {
  const out: Shown[] = [];
  for (const { name } of await c.p.readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const [, comm = '', state = '?', ppid = '0', pgid = '0'] = /^\d+ \((.*)\) (\S) (\d+) (\d+)/s.exec(await c.p.readFile(`/proc/${name}/stat`)) ?? [];
      const args = (await c.p.readFile(`/proc/${name}/cmdline`)).split('\0').join(' ').trim();
      const uid = Number(/^Uid:\t(\d+)/m.exec(await c.p.readFile(`/proc/${name}/status`))?.[1] ?? 0);
      const wchan = await c.p.readFile(`/proc/${name}/wchan`);
      out.push({ pid: Number(name), ppid: Number(ppid), pgid: Number(pgid), state, comm, args: args === '' ? `[${comm}]` : args, uid, wchan: wchan === '0' ? '-' : wchan });
    } catch (error) {
      if (!refusedWith(error, 'ENOENT', 'ESRCH')) throw error; // it ended meanwhile
    }
  }
  return out.sort((a, b) => a.pid - b.pid);
}

/** Columns by name: heading, width (negative: to the left), value. */
const COLUMNS: Readonly<Record<string, readonly [title: string, width: number, value: (proc: Shown) => string]>> = {
  pid: ['PID', 7, (p) => String(p.pid)], ppid: ['PPID', 7, (p) => String(p.ppid)], pgid: ['PGID', 7, (p) => String(p.pgid)], user: ['USER', -8, (p) => userName(p.uid)],
  uid: ['UID', 5, (p) => String(p.uid)], stat: ['STAT', -4, (p) => p.state], state: ['S', -1, (p) => p.state], s: ['S', -1, (p) => p.state],
  comm: ['COMMAND', -15, (p) => p.comm], cmd: ['CMD', -27, (p) => p.args], args: ['COMMAND', -27, (p) => p.args], wchan: ['WCHAN', -6, (p) => p.wchan],
  tty: ['TT', -8, () => '?'], time: ['TIME', 8, () => '00:00:00'],
};

type Column = (typeof COLUMNS)[string];

/** `wchan:32`: as wide as asked. */
function withWidth(column: Column | undefined, width: string | undefined): Column | undefined {
  return column === undefined || width === undefined ? column : [column[0], Math.sign(column[1]) * Number(width), column[2]];
}

const ps: Applet = async (c) => {
  const bsd = c.args[0] !== undefined && /^[auxw]+$/.test(c.args[0]);
  const o = await options(bsd ? Object.assign(Object.create(c) as Program, { args: c.args.slice(1) }) : c, 'eAfo:p:C:Hlww', { format: 'o', pid: 'p', headers: 'H' });
  let shown = await processes(c);
  const [pids, name] = [o.get('p')?.split(/[, ]+/), o.get('C')];
  if (pids !== undefined) shown = shown.filter((proc) => pids.includes(String(proc.pid)));
  else if (name !== undefined) shown = shown.filter((proc) => proc.comm === name);
  else if (!bsd && !o.has('e', 'A')) shown = shown.filter((proc) => proc.uid === c.p.proc.cred.uid);
  const specs = o.all('o').join(',') || (bsd ? 'user,pid,stat,time,args' : o.has('f') ? 'user,pid,ppid,tty,time,cmd' : 'pid,tty,time,comm');
  const columns = specs.split(/[, ]+/).filter((spec) => spec !== '').map((spec) => {
    const [named = '', title] = spec.split('=');
    const [key = '', width] = named.split(':');
    return { named, key, title, column: width === undefined || /^[1-9]\d*$/.test(width) ? withWidth(COLUMNS[key.toLowerCase()], width) : undefined };
  });
  const wrong = columns.find((one) => one.column === undefined);
  if (wrong !== undefined) {
    await c.err(`error: unknown user-defined format specifier "${wrong.named}"\n`);
    return 1;
  }
  const line = (cells: readonly string[]): string => cells.map((cell, i) => {
    const width = columns[i].column?.[1] ?? 0;
    return width > 0 ? cell.padStart(width) : i === cells.length - 1 ? cell : cell.padEnd(-width);
  }).join(' ');
  const titles = columns.map((one) => one.title ?? one.column?.[0] ?? '');
  if (titles.some((title) => title !== '')) c.out(`${line(titles)}\n`);
  for (const proc of shown) {
    c.out(`${line(columns.map(({ column }, i) => {
      const [, width, value] = column!; // none is unknown
      return width > 0 || i === columns.length - 1 ? value(proc) : value(proc).slice(0, -width);
    }))}\n`);
  }
  return shown.length === 0 ? 1 : 0;
};

/** Pids of processes with a name. */
const pgrep: Applet = async (c) => {
  const o = await options(c, 'fxlo', { full: 'f', exact: 'x' });
  const pattern = new RegExp(o.has('x') ? `^(?:${o.operands[0]})$` : o.operands[0] ?? '');
  const found = (await processes(c)).filter((proc) => proc.pid !== c.p.pid && pattern.test(o.has('f') ? proc.args : proc.comm));
  for (const proc of found) c.out(`${proc.pid}${o.has('l') ? ` ${proc.comm}` : ''}\n`);
  return found.length === 0 ? 1 : 0;
};

/** What is left of a command line becomes this process. */
async function become(c: Program, argv: readonly string[], prepare: () => void | Promise<void>): Promise<number> {
  const [name] = argv;
  if (name === undefined) {
    await c.err(`${c.name}: missing operand\nTry '${c.name} --help' for more information.\n`);
    return c.name === 'nohup' || c.name === 'nice' ? 125 : 1;
  }
  if (!name.includes('/') && !c.launch.hasProgram(name)) {
    return c.name === 'setsid' || c.name === 'setpriv' ? c.fail(`failed to execute ${name}: No such file or directory`, 127)
      : c.fail(c.name === 'nice' ? `'${name}': No such file or directory` : `failed to run command '${name}': No such file or directory`, 127);
  }
  await prepare();
  return c.launch.exec(argv);
}

const nohup: Applet = (c) => become(c, c.args[0] === '--' ? c.args.slice(1) : c.args, () => c.p.sigaction(SIGHUP, 'ignore'));

const nice: Applet = async (c) => {
  const o = await options(c, 'n:', { adjustment: 'n' }, { stop: true, status: 125 });
  if (o.operands.length === 0) {
    c.out('0\n');
    return 0;
  }
  return become(c, o.operands, () => {});
};

const setsid: Applet = async (c) => {
  const o = await options(c, 'cfw', { ctty: 'c', fork: 'f', wait: 'w' }, { stop: true });
  return become(c, o.operands, () => c.p.setpgid());
};

/** `setpriv` of util-linux: another identity, and then another program. */
const setpriv: Applet = async (c) => {
  const o = await options(c, 'u:g:b:kKind', {
    reuid: 'u', ruid: 'u', euid: 'u', regid: 'g', rgid: 'g', egid: 'g', 'clear-groups': 'k', 'keep-groups': 'K', 'init-groups': 'i', 'no-new-privs': 'n', dump: 'd',
    'bounding-set': 'b', 'inh-caps': 'b', 'ambient-caps': 'b', groups: 'b',
  }, { stop: true });
  const { cred } = c.p.proc;
  const uid = o.get('u') === undefined ? cred.uid : userId(o.get('u') ?? '');
  const gid = o.get('g') === undefined ? cred.gid : userId(o.get('g') ?? '');
  if (uid === null) return c.fail(`Unknown user name or bad uid '${o.get('u')}'`, 1);
  if (gid === null) return c.fail(`Unknown group name or bad gid '${o.get('g')}'`, 1);
  if (o.has('g') && !o.has('k', 'K', 'i')) return c.fail('--[re]gid requires --keep-groups, --clear-groups, --init-groups, or --groups', 1);
  if ((uid !== cred.uid || gid !== cred.gid) && cred.uid !== 0) return c.fail('setresuid failed: Operation not permitted', 1);
  const [name] = o.operands;
  if (name === undefined) return c.fail('No program specified', 1);
  if (!name.includes('/') && !c.launch.hasProgram(name)) return c.fail(`failed to execute ${name}: No such file or directory`, 127);
  return c.launch.exec(o.operands, { as: { uid, gid } });
};

export const processApplets: [string, Applet][] = [
  ['kill', kill], ['ps', ps], ['pgrep', pgrep], ['nohup', nohup], ['nice', nice], ['setsid', setsid], ['setpriv', setpriv],
  ['pidof', async (c) => {
    const found = (await processes(c)).filter((proc) => c.args.includes(proc.comm)).map((proc) => proc.pid).reverse();
    if (found.length > 0) c.out(`${found.join(' ')}\n`);
    return found.length > 0 ? 0 : 1;
  }],
];
