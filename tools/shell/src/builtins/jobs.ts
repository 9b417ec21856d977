/** Background jobs and signals: `wait`, `jobs`, `kill`, `disown`, `trap`. */
import type { Job } from '../jobs.ts';
import type { Shell } from '../shell.ts';
import { signalNumber, signals, describeSignal } from '../signals.ts';
import { errorText } from '../system.ts';
import type { Builtin } from './builtin.ts';
import { builtinOutput } from './output.ts';

/** Wait for a job; a trapped signal ends the wait. */
async function waitFor(shell: Shell, job: Job, tells: boolean): Promise<{ status: number; over: boolean }> {
  const { status, signal } = await shell.jobs.wait([job], tells);
  if (signal !== null) await shell.runTraps();
  return { status, over: signal !== null };
}

const wait: Builtin = async (shell, argv) => {
  const args = argv.slice(1);
  const any = args[0] === '-n';
  const wanted = args.filter((arg) => !arg.startsWith('-'));
  if (any) {
    const ended = wanted.length === 0 ? shell.jobs.takeEnded() : undefined;
    if (ended !== undefined) return ended;
    const jobs = wanted.length === 0 ? shell.jobs.running : wanted.flatMap((arg) => shell.jobs.find(arg) ?? []);
    if (jobs.length === 0) return 127;
    const { status, signal } = await shell.jobs.wait(jobs.length === 1 ? jobs : [...jobs]);
    if (signal !== null) await shell.runTraps();
    return status;
  }
  if (wanted.length === 0) {
    for (const job of [...shell.jobs.running]) {
      const { status, over } = await waitFor(shell, job, false);
      if (over) return status;
    }
    return 0;
  }
  let status = 0;
  for (const arg of wanted) {
    const job = shell.jobs.find(arg);
    const ended = shell.jobs.endedStatus(Number(arg));
    if (job !== undefined) {
      const one = await waitFor(shell, job, true);
      if (one.over) return one.status;
      status = one.status;
    } else if (ended !== undefined) status = ended;
    else if (/^\d+$/.test(arg) || arg.startsWith('%')) {
      await shell.complain(arg.startsWith('%') ? `wait: ${arg}: no such job` : `wait: pid ${arg} is not a child of this shell`);
      status = 127;
    } else {
      await shell.complain(`wait: \`${arg}': not a pid or valid job spec`);
      status = 1;
    }
  }
  return status;
};

const jobs: Builtin = async (shell, argv) => {
  const pids = argv.includes('-p');
  const long = argv.includes('-l');
  await shell.jobs.reap();
  const named = argv.slice(1).filter((arg) => !arg.startsWith('-'));
  const shown = named.length === 0 ? shell.jobs.listed : named.flatMap((arg) => shell.jobs.find(arg, shell.jobs.listed) ?? []);
  if (argv.includes('-s')) return 0;
  const lines = shown.map((job) =>
    (pids ? `${job.child.pid}\n` : `[${job.number}]${shell.jobs.mark(job)} ${long ? `${job.child.pid} ` : ' '}${'Running'.padEnd(24)}${job.text} &\n`));
  return builtinOutput(shell, 'jobs', lines.join(''));
};

const USAGE = 'kill: usage: kill [-s sigspec | -n signum | -sigspec] pid | jobspec ... or kill -l [sigspec]\n';

/** `kill -l`: names of numbers, numbers of names. */
async function listSignals(shell: Shell, names: readonly string[]): Promise<number> {
  if (names.length === 0) {
    const cells = signals.map((signal) => `${String(signal.number).padStart(2)}) SIG${signal.name}`);
    const rows = Array.from({ length: Math.ceil(cells.length / 5) }, (_, i) => cells.slice(i * 5, i * 5 + 5).join('\t'));
    return builtinOutput(shell, 'kill', `${rows.join('\n')}\n`);
  }
  let status = 0;
  for (const name of names) {
    const number = /^\d+$/.test(name) ? (Number(name) > 128 ? Number(name) - 128 : Number(name)) : signalNumber(name);
    if (number === null || number > signals.length || number === 0) {
      await shell.complain(`kill: ${name}: invalid signal specification`);
      status = 1;
    } else await builtinOutput(shell, 'kill', `${/^\d+$/.test(name) ? describeSignal(number).name : number}\n`);
  }
  return status;
}

const kill: Builtin = async (shell, argv) => {
  let args = argv.slice(1);
  let word = 'TERM';
  if (args[0] === '-l' || args[0] === '-L') return listSignals(shell, args.slice(1));
  if (args[0] === '-s' || args[0] === '-n') {
    word = args[1] ?? '';
    args = args.slice(2);
  } else if (args[0]?.startsWith('-') === true && args[0] !== '--' && !/^-\d+$/.test(args.length > 1 ? '' : args[0])) {
    word = args[0].slice(1);
    args = args.slice(1);
  }
  if (args[0] === '--') args = args.slice(1);
  const signal = signalNumber(word);
  if (signal === null) {
    await shell.complain(`kill: ${word}: invalid signal specification`);
    return 1;
  }
  if (args.length === 0) {
    await shell.say(USAGE);
    return 2;
  }
  let status = 1;
  for (const arg of args) {
    const job = arg.startsWith('%') ? shell.jobs.find(arg, shell.jobs.listed) : undefined;
    if (arg.startsWith('%') && job === undefined) {
      await shell.complain(`kill: ${arg}: no such job`);
      continue;
    }
    if (job === undefined && !/^-?\d+$/.test(arg)) {
      await shell.complain(`kill: ${arg}: arguments must be process or job IDs`);
      continue;
    }
    const pid = job?.child.pid ?? Number(arg);
    try {
      shell.p.kill(pid, signal);
      status = 0;
    } catch (error) {
      await shell.complain(`kill: (${pid}) - ${errorText(error)}`);
    }
  }
  return status;
};

const disown: Builtin = async (shell, argv) => {
  const named = argv.slice(1).filter((arg) => !arg.startsWith('-'));
  const last = shell.jobs.running.at(-1);
  shell.jobs.disown(argv.includes('-a') ? shell.jobs.running : named.length === 0 ? (last === undefined ? [] : [last]) : named.flatMap((arg) => shell.jobs.find(arg) ?? []));
  return 0;
};

/** What a trap is called: `EXIT`, `ERR`, `TERM`; `null` for no such signal. */
function trapName(word: string): string | null {
  const name = word.toUpperCase().replace(/^SIG(?=.)/, '');
  if (word === '0' || name === 'EXIT') return 'EXIT';
  if (name === 'ERR' || name === 'DEBUG' || name === 'RETURN') return name;
  const number = signalNumber(word);
  return number === null || number === 0 ? null : describeSignal(number).name;
}

const trap: Builtin = async (shell, argv) => {
  const { traps } = shell.state;
  const print = argv[1] === '-p';
  const args = argv.slice(argv[1] === '--' || print ? 2 : 1);
  if (argv[1] === '-l') return listSignals(shell, []);
  if (print || args.length === 0) {
    const order = (name: string): number => (name === 'EXIT' ? 0 : signalNumber(name) ?? 99);
    const shown = [...traps].filter(([name]) => args.length === 0 || args.some((arg) => trapName(arg) === name)).sort(([a], [b]) => order(a) - order(b));
    return builtinOutput(shell, 'trap', shown.map(([name, action]) =>
      `trap -- '${action.replaceAll("'", "'\\''")}' ${/^(EXIT|ERR|DEBUG|RETURN)$/.test(name) || shell.state.dialect === 'dash' ? name : `SIG${name}`}\n`).join(''));
  }
  const [action, ...names] = args.length === 1 ? ['-', args[0]] : args;
  let status = 0;
  for (const word of names) {
    const name = trapName(word);
    if (name === null) {
      await shell.complain(`trap: ${word}: invalid signal specification`);
      status = 1;
      continue;
    }
    if (action === '-') traps.delete(name);
    else traps.set(name, action);
    const number = signalNumber(name);
    if (number !== null && name !== 'KILL' && name !== 'STOP') {
      shell.p.sigaction(number, action === '-' ? 'default' : action === '' ? 'ignore' : (signal) => void shell.cameIn.push(signal));
    }
  }
  return status;
};

const noJobControl = (name: string): [string, Builtin] => [name, async (shell) => {
  await shell.complain(`${name}: no job control`);
  return 1;
}];

export const jobBuiltins: [string, Builtin][] = [
  ['wait', wait], ['jobs', jobs], ['kill', kill], ['disown', disown], ['trap', trap], noJobControl('fg'), noJobControl('bg'),
];
