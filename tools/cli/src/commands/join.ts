/** `vdpalab shell --name NAME`: a shell in a lab that is up. */
import { createInterface } from 'node:readline/promises';
import { Call, labPaths, LauncherError, type Answer } from '@vdpalab/launcher';
import type { ShellOptions } from './shell.ts';

const bytes = (text: string): string => Buffer.from(text, 'latin1').toString('utf8');

/** Run until the input ends or `exit` is typed. @returns the exit status. @throws LauncherError when no such lab runs */
export async function joinShell(name: string, { input, out, err }: Pick<ShellOptions, 'input' | 'out' | 'err'>): Promise<number> {
  const call = await Call.open(labPaths(name).socket, { op: 'shell' });
  if (call === null) throw new LauncherError(`no lab named ${name} runs`);
  const terminal = input.isTTY === true;

  /** What comes until the lab wants something of us. */
  const next = async (): Promise<Answer> => {
    for (let answer = await call.next(); answer !== null; answer = await call.next()) {
      if ('out' in answer) out(bytes(answer.out));
      else if ('err' in answer) err(bytes(answer.err));
      else return answer;
    }
    throw new LauncherError(`the lab ${name} went away`, 1);
  };
  let answer = await next();
  const lines = createInterface({ // reads from here on: nothing may be awaited before its lines are
    input, terminal, historySize: 1000, ...(terminal ? { output: process.stdout } : {}),
    completer: async (line: string): Promise<[string[], string]> => {
      call.say({ complete: line });
      const answer = await next();
      return 'completions' in answer ? [[...answer.completions], answer.word] : [[], line];
    },
  });
  const ask = (asked: Answer): void => {
    lines.setPrompt(terminal && 'prompt' in asked ? asked.prompt : '');
    lines.prompt();
  };
  let busy = false;
  lines.on('SIGINT', () => {
    if (busy) return; // its answer is not there yet
    call.say({ cancel: true });
    out('^C\n');
    next().then(ask, () => lines.close());
  });
  let status = 0;
  ask(answer);
  for await (const line of lines) {
    busy = true;
    call.say({ line });
    answer = await next();
    busy = false;
    status = 'exit' in answer ? answer.exit : 'prompt' in answer ? answer.last : status;
    if ('exit' in answer) break;
    ask(answer);
  }
  lines.close();
  call.close();
  return status;
}
