/** `fail`: make things fail on purpose while the lab runs. */
import { FaultRuleError } from '@vdpalab/lab';
import type { Applet } from '@vdpalab/shell';

const HELP = `Usage: fail [RULE...] | fail -c | fail -r COMMAND [ARGUMENT...]
Make the nth allocation, registration, mapping, request or operation of a module fail.
  RULE     MODULE:WHAT[:N][=ERRNO][,interval=N][,times=N][,probability=PERCENT]
           WHAT is a symbol, a kind (alloc create add map register request attach enable get), an operation during
           which it is asked (probe, init, dev_add), both (probe/alloc), or an operation itself (set_map())
  -c       take all rules away
  -r       run a command and list what modules asked for, as rules
Without arguments: the rules, how often each was met, and how often it failed something.
`;

/** The program. */
export const fail: Applet = async (c) => {
  const [word, ...rest] = c.args;
  if (word === '-h' || word === '--help') {
    c.out(HELP);
    return 0;
  }
  const faults = c.system.lab?.faults ?? null;
  if (faults === null) return c.fail('this lab was made without failures: say `fail: []` in its lab file, or --fail');
  if (word === undefined) {
    for (const { rule, seen, failed } of faults.rules) c.out(`${rule.text}: met ${seen}, failed ${failed}\n`);
    return 0;
  }
  if (word === '-c') {
    faults.clear();
    return 0;
  }
  if (word === '-r') {
    const steps = faults.record();
    const status = await c.launch.runProgram(rest);
    faults.stop();
    const counts = new Map<string, number>();
    for (const step of steps) {
      const during = step.kind === 'load' ? 'load' : step.during.at(-1);
      const name = `${step.module}:${during === undefined ? '' : `${during}/`}${step.what}${step.kind === 'op' ? '()' : ''}`;
      counts.set(name, (counts.get(name) ?? 0) + 1);
      c.out(`${name}:${counts.get(name)}\n`);
    }
    return status;
  }
  try {
    for (const rule of c.args) faults.add(rule);
    return 0;
  } catch (error) {
    if (!(error instanceof FaultRuleError)) throw error;
    return c.fail(error.message);
  }
};
