/** Background jobs: `wait`, `jobs`. A task cannot be killed from outside, so `kill` only asks whether it is there. */
import type { Builtin } from './builtin.ts';
import { builtinOutput } from './output.ts';

const wait: Builtin = async (shell, argv) => {
  const { state } = shell;
  const wanted = argv.slice(1).filter((arg) => !arg.startsWith('-'));
  if (wanted.length === 0) {
    for (const job of [...state.jobs]) await shell.waitFor(job);
    return 0;
  }
  let status = 0;
  for (const arg of wanted) {
    const number = Number(arg.replace('%', ''));
    const job = arg.startsWith('%') ? state.jobs[number - 1] : state.jobs.find((j) => j.pid === number);
    const ended = shell.endedJobs.get(number);
    if (job !== undefined) status = await shell.waitFor(job);
    else if (ended !== undefined) status = ended;
    else {
      await shell.complain(Number.isInteger(number) ? `wait: pid ${arg} is not a child of this shell` : `wait: \`${arg}': not a pid or valid job spec`);
      status = 127;
    }
  }
  return status;
};

const jobs: Builtin = (shell, argv) => {
  const only = argv.includes('-r');
  const pids = argv.includes('-p');
  const lines = shell.state.jobs.map((job, i) => {
    const running = job.task.state !== 'done';
    const mark = i === shell.state.jobs.length - 1 ? '+' : i === shell.state.jobs.length - 2 ? '-' : ' ';
    if (only && !running) return '';
    return pids ? `${job.pid}\n` : `[${i + 1}]${mark}  ${(running ? 'Running' : 'Done').padEnd(24)}${job.text}${running ? ' &' : ''}\n`;
  });
  return builtinOutput(shell, 'jobs', lines.join(''));
};

const kill: Builtin = async (shell, argv) => {
  const pids = argv.slice(1).filter((arg) => !arg.startsWith('-'));
  let status = 0;
  for (const pid of pids) {
    if (shell.system.symbol('processes')().some((proc) => String(proc.pid) === pid)) {
      if (argv[1] === '-0') continue;
      await shell.complain(`kill: (${pid}) - Operation not supported`);
    } else await shell.complain(`kill: (${pid}) - No such process`);
    status = 1;
  }
  return status;
};

export const jobBuiltins: [string, Builtin][] = [['wait', wait], ['jobs', jobs], ['kill', kill], ['disown', async () => 0]];
