/** Programs about the system and about running others: uname, id, sleep, env, xargs, timeout, su, sh, seq ... */
import { formatPrintf } from '../printf.ts';
import type { Applet, Program } from '../program.ts';
import { linesOf } from '../streams.ts';
import { errorText } from '../system.ts';
import { options } from './options.ts';
import { interval, timeout } from './timeout.ts';
import { expr } from './expr.ts';
import { formatDate, groupName, userId, userName } from './stat-text.ts';

/** When the lab's machine was switched on: 2025-11-20 14:30 UTC, in seconds. */
export const BOOT_TIME = 1_763_649_000;

const uname: Applet = async (c) => {
  const o = await options(c, 'asnrvmpio', { all: 'a', 'kernel-release': 'r', 'kernel-name': 's', machine: 'm', nodename: 'n' });
  const fields: [string, string][] = [
    ['s', 'Linux'], ['n', 'lab'], ['r', c.system.release], ['v', '#1 SMP PREEMPT_DYNAMIC vdpalab'], ['m', 'x86_64'], ['o', 'GNU/Linux'],
  ];
  const shown = fields.filter(([letter]) => o.has('a', letter) || (letter === 's' && !o.has('s', 'n', 'r', 'v', 'm', 'o', 'p', 'i')));
  c.out(`${shown.map(([, text]) => text).join(' ')}\n`);
  return 0;
};

const id: Applet = async (c) => {
  const o = await options(c, 'ugnG', { user: 'u', group: 'g', name: 'n' });
  const { uid, gid } = c.p.proc.cred;
  if (o.has('u')) c.out(`${o.has('n') ? userName(uid) : uid}\n`);
  else if (o.has('g', 'G')) c.out(`${o.has('n') ? groupName(gid) : gid}\n`);
  else c.out(`uid=${uid}(${userName(uid)}) gid=${gid}(${groupName(gid)}) groups=${gid}(${groupName(gid)})\n`);
  return 0;
};

const sleep: Applet = async (c) => {
  if (c.args.length === 0) {
    await c.err("sleep: missing operand\nTry 'sleep --help' for more information.\n");
    return 1;
  }
  let ns = 0;
  const wrong = c.args.filter((arg) => interval(arg) === null);
  if (wrong.length > 0) {
    await c.err(`${wrong.map((arg) => `sleep: invalid time interval '${arg}'\n`).join('')}Try 'sleep --help' for more information.\n`);
    return 1;
  }
  for (const arg of c.args) ns += interval(arg) ?? 0;
  await c.p.poll([], ns === Infinity ? -1 : ns);
  return 0;
};

const date: Applet = async (c) => {
  const o = await options(c, 'ud:r:R', { utc: 'u', universal: 'u', date: 'd', reference: 'r', 'rfc-email': 'R' });
  const format = o.operands.find((arg) => arg.startsWith('+'))?.slice(1) ?? (o.has('R') ? '%a, %d %b %Y %H:%M:%S +0000' : '%a %b %e %H:%M:%S UTC %Y');
  let time = BOOT_TIME + c.system.now() / 1e9;
  const [text, file] = [o.get('d'), o.get('r')];
  if (text !== undefined) {
    const ms = text.startsWith('@') ? Number(text.slice(1)) * 1000 : Date.parse(`${text.replace(' ', 'T')}${text.includes(':') && !/Z$/.test(text) ? 'Z' : ''}`);
    if (Number.isNaN(ms)) return c.fail(`invalid date '${text}'`);
    time = ms / 1000;
  }
  if (file !== undefined) {
    try {
      time = (await c.p.stat(file)).mtime;
    } catch (error) {
      return c.fail(`${file}: ${errorText(error)}`);
    }
  }
  c.out(`${formatDate(time, format)}\n`);
  return 0;
};

const env: Applet = async (c) => {
  const o = await options(c, 'iu:0', { 'ignore-environment': 'i', unset: 'u' }, { stop: true });
  const vars = new Map(o.has('i') ? [] : c.env);
  for (const name of o.all('u')) vars.delete(name);
  const argv = [...o.operands];
  while (argv[0]?.includes('=') === true) {
    const [assignment] = argv.splice(0, 1);
    vars.set(assignment.slice(0, assignment.indexOf('=')), assignment.slice(assignment.indexOf('=') + 1));
  }
  if (argv.length === 0) {
    for (const [name, value] of vars) c.out(`${name}=${value}\n`);
    return 0;
  }
  if (!argv[0].includes('/') && !c.launch.hasProgram(argv[0])) return c.fail(`'${argv[0]}': No such file or directory`, 127);
  return c.launch.exec(argv, { env: vars });
};

const printenv: Applet = async (c) => {
  const o = await options(c, '0', { null: '0' }, { status: 2 });
  const end = o.has('0') ? '\0' : '\n';
  if (o.operands.length === 0) for (const [name, value] of c.env) c.out(`${name}=${value}${end}`);
  let status = 0;
  for (const name of o.operands) {
    const value = c.env.get(name);
    if (value === undefined) status = 1;
    else c.out(value + end);
  }
  return status;
};

const seq: Applet = async (c) => {
  const o = await options(seqArgs(c), 's:wf:', { separator: 's', 'equal-width': 'w', format: 'f' });
  const wrong = o.operands.find((text) => !/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text));
  if (o.operands.length === 0 || wrong !== undefined || o.operands.length > 3) {
    const problem = o.operands.length === 0 ? 'missing operand' : wrong !== undefined ? `invalid floating point argument: '${wrong}'` : `extra operand '${o.operands[3]}'`;
    await c.err(`seq: ${problem}\nTry 'seq --help' for more information.\n`);
    return 1;
  }
  const format = o.get('f');
  const [a, b, d] = o.operands.map(Number);
  const [first, step, last] = o.operands.length === 1 ? [1, 1, a] : o.operands.length === 2 ? [a, 1, b] : [a, b, d];
  const places = Math.max(0, ...o.operands.map((text) => (text.split('.')[1] ?? '').length));
  const out: string[] = [];
  for (let i = 0, n = first; step > 0 ? n <= last : n >= last; n = first + ++i * step) out.push(format === undefined ? n.toFixed(places) : formatPrintf(format.replace(/%([-0-9]*)(?:\.(\d+))?[gf]/, (_, flags: string, digits: string | undefined) => `%${flags}${digits === undefined ? '' : ''}s`), [n.toFixed(Number(/\.(\d+)[gf]/.exec(format)?.[1] ?? places)).padStart(/%0(\d+)/.exec(format) === null ? 0 : Number(/%0(\d+)/.exec(format)?.[1]), '0')]).text);
  const width = Math.max(0, ...out.map((text) => text.length));
  if (out.length > 0) c.out(`${out.map((text) => (o.has('w') ? text.padStart(width, '0') : text)).join(o.get('s') ?? '\n')}\n`);
  return 0;
};

/** Negative numbers are operands. */
function seqArgs(c: Program): Program {
  const at = c.args.findIndex((arg) => /^-\d/.test(arg));
  return at < 0 ? c : Object.assign(Object.create(c) as Program, { args: [...c.args.slice(0, at), '--', ...c.args.slice(at)] });
}

const xargs: Applet = async (c) => {
  const o = await options(c, '0n:I:rtd:L:P:', { 'max-lines': 'L', verbose: 't', null: '0', 'max-args': 'n', replace: 'I', 'no-run-if-empty': 'r' }, { stop: true });
  const text = await c.read('-');
  const command = o.operands.length === 0 ? ['echo'] : o.operands;
  const replace = o.get('I');
  const items = o.has('0') ? text.split('\0').filter((item) => item !== '')
    : replace !== undefined ? linesOf(text).map((line) => line.trim()).filter((line) => line !== '')
      : [...text.matchAll(/(?:"([^"]*)"|'([^']*)'|((?:\\.|[^\s"'\\])+))/g)].map((m) => m[1] ?? m[2] ?? (m[3] ?? '').replace(/\\(.)/g, '$1'));
  if (items.length === 0 && (o.has('r') || replace !== undefined)) return 0;
  const size = replace !== undefined ? 1 : Number(o.get('n') ?? Math.max(items.length, 1));
  let status = 0;
  const perLine = o.has('L') ? linesOf(text).filter((line) => line.trim() !== '').map((line) => line.trim().split(/\s+/)) : null;
  const lines = Number(o.get('L') ?? 1);
  for (let i = 0; i === 0 || i < (perLine?.length ?? items.length); i += perLine === null ? size : lines) {
    const group = perLine === null ? items.slice(i, i + size) : perLine.slice(i, i + lines).flat();
    const argv = replace === undefined ? [...command, ...group] : command.map((word) => word.replaceAll(replace, group[0]));
    if (!argv[0].includes('/') && !c.launch.hasProgram(argv[0])) return c.fail(`${argv[0]}: No such file or directory`, 127);
    if (o.has('t')) await c.err(`${argv.join(' ')}\n`);
    const one = await c.launch.runProgram(argv);
    if (one === 255) {
      await c.fail(`${argv[0]}: exited with status 255; aborting`);
      return 124;
    }
    if (one > 128) return 125;
    if (one !== 0) status = 123;
  }
  return status;
};

const su: Applet = async (c) => {
  const o = await options(c, 's:c:lmp', { shell: 's', command: 'c', login: 'l' });
  const [name = 'root'] = o.operands.filter((operand) => operand !== '-');
  const uid = userId(name);
  if (uid === null) return c.fail(`user ${name} does not exist`);
  if (c.p.proc.cred.uid !== 0) return c.fail('Authentication failure');
  const text = o.get('c');
  if (text === undefined) return 0;
  return c.launch.exec(['sh', '-c', text], { as: { uid, gid: uid } });
};

const sh: Applet = async (c) => {
  const args = [...c.args];
  const dialect = c.name === 'bash' ? 'bash' : 'dash';
  let flags = '';
  while (/^[-+][a-zA-Z]+$/.test(args[0] ?? '') && args[0] !== '-c') {
    const option = (args.shift() ?? '').replace(/[sil]/g, '');
    if (option.length > 1) flags += `set ${option}; `;
    if (/c/.test(option)) {
      flags = flags.replace(`set ${option}; `, option.replace('c', '').length > 1 ? `set ${option.replace('c', '')}; ` : '');
      args.unshift('-c');
      break;
    }
  }
  if (args[0] === '-c' || /c/.test(/-\w*/.exec(args[0] ?? '')?.[0] ?? '')) {
    const options = (args.shift() ?? '').replace(/[-c]/g, '');
    const text = args.shift();
    if (text === undefined) return c.fail('-c: option requires an argument', 2);
    return c.launch.execShell(`${options === '' ? '' : `set -${options}; `}${flags}${text}`, args.length === 0 ? [c.name] : args, { dialect });
  }
  const [path, ...rest] = args;
  let text: string;
  try {
    text = await c.read(path ?? '-');
  } catch (error) {
    return c.fail(`${path}: ${errorText(error)}`, 127);
  }
  return c.launch.execShell(flags + text, [path ?? c.name, ...rest], { dialect });
};

const busybox: Applet = async (c) => {
  if (c.args.length === 0) return 0;
  if (!c.launch.hasProgram(c.args[0])) {
    await c.err(`${c.args[0]}: applet not found\n`);
    return 127;
  }
  return c.launch.exec(c.args);
};

export const systemApplets: [string, Applet][] = [
  ['uname', uname], ['id', id], ['sleep', sleep], ['date', date], ['env', env], ['printenv', printenv], ['expr', expr], ['seq', seq], ['xargs', xargs],
  ['timeout', timeout], ['su', su], ['sh', sh], ['bash', sh], ['dash', sh], ['busybox', busybox], 
  ['whoami', async (c) => {
    c.out(`${userName(c.p.proc.cred.uid)}\n`);
    return 0;
  }],
  ['yes', async (c) => {
    const text = `${c.args.length === 0 ? 'y' : c.args.join(' ')}\n`;
    for (;;) {
      c.out(text.repeat(Math.ceil(4096 / text.length)));
      await c.flush();
    }
  }],
  ['sync', async () => 0], ['true', async () => 0], ['false', async () => 1], ['clear', async () => 0],
  ['hostname', async (c) => {
    c.out('lab\n');
    return 0;
  }],
  ['nproc', async (c) => {
    c.out('2\n');
    return 0;
  }],
  ['mount', async (c) => {
    if (c.args.length === 0) c.out('rootfs on / type ramfs (rw)\nsysfs on /sys type sysfs (rw)\nproc on /proc type proc (rw)\ndevtmpfs on /dev type devtmpfs (rw)\n');
    return 0;
  }],
  ['echo', async (c) => {
    const bare = c.args[0] === '-n';
    c.out(`${c.args.slice(bare ? 1 : 0).join(' ')}${bare ? '' : '\n'}`);
    return 0;
  }],
  ['printf', async (c) => {
    if (c.args.length === 0) return c.fail('missing operand');
    const { text, problems } = formatPrintf(c.args[0], c.args.slice(1));
    for (const problem of problems) await c.fail(problem);
    c.out(text);
    return problems.length > 0 ? 1 : 0;
  }],
  ['which', async (c) => {
    let status = 0;
    for (const name of c.args) {
      if (c.launch.hasProgram(name)) c.out(`/usr/bin/${name}\n`);
      else status = 1;
    }
    return status;
  }],
];
