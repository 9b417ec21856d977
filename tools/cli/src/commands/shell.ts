/** `vdpalab shell`: type commands into a lab. */
import { createInterface } from 'node:readline/promises';
import { createLab, formatLogLine } from '@vdpalab/lab';
import { Interactive } from '@vdpalab/shell';
import { programs } from '../programs/index.ts';

/** How a shell is opened. */
export interface ShellOptions {
  readonly lab?: string;
  readonly seed?: number;
  /** What is to fail on purpose. */
  readonly fail?: readonly string[];
  /** Show the kernel log as it comes. */
  readonly dmesg: boolean;
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** Run until the input ends or `exit` is typed. @returns the exit status */
export async function interactive(options: ShellOptions): Promise<number> {
  const { input, out, err } = options;
  const terminal = input.isTTY === true;
  const lab = await createLab({
    ...(options.lab === undefined ? {} : { file: options.lab }), ...(options.seed === undefined ? {} : { seed: options.seed }),
    ...(options.fail === undefined ? {} : { fail: options.fail }),
  });
  const shell = await Interactive.open(lab, {
    applets: programs, onOutput: (text, stream) => (stream === 'stdout' ? out(text) : err(text)),
  });
  const lines = createInterface({
    input, terminal, historySize: 1000, ...(terminal ? { output: process.stdout } : {}), completer: (line: string) => shell.complete(line),
  });
  const prompt = (): void => {
    lines.setPrompt(terminal ? shell.prompt : '');
    lines.prompt();
  };
  lines.on('SIGINT', () => {
    shell.cancel();
    out('^C\n');
    prompt();
  });
  let status = 0;
  prompt();
  for await (const line of lines) {
    const mark = lab.log.mark;
    status = (await shell.submit(line)) ?? status;
    if (options.dmesg) for (const entry of lab.log.since(mark)) err(`[${formatLogLine(entry)}]\n`);
    if (shell.exited !== null) break;
    prompt();
  }
  lines.close();
  status = shell.exited ?? status;
  await shell.close();
  for (const what of await lab.close()) err(`left behind: ${what}\n`);
  return status;
}
