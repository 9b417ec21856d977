/** `vdpalab shell`: type commands into a lab. */
import { createInterface } from 'node:readline/promises';
import { createLab, formatLogLine, type Lab } from '@vdpalab/lab';
import { Player } from '@vdpalab/shell';
import { programs } from '../programs/index.ts';

/** What a line may be completed with: programs in front, paths of the lab behind. */
async function complete(lab: Lab, line: string): Promise<[string[], string]> {
  const word = /\S*$/.exec(line)?.[0] ?? '';
  if (word === line) return [[...programs.keys()].filter((name) => name.startsWith(word)).sort(), word];
  const slash = word.lastIndexOf('/');
  const [dir, prefix] = [word.slice(0, slash + 1), word.slice(slash + 1)];
  const names = await lab.user(async (p) => {
    try {
      return await p.readdir(dir === '' ? '/root' : dir);
    } catch {
      return []; // no such directory: nothing to offer
    }
  }, { cwd: '/root' });
  return [names.filter((n) => n.name.startsWith(prefix)).map((n) => `${dir}${n.name}${n.kind === 'dir' ? '/' : ''}`).sort(), word];
}

/** Run until the input ends or `exit` is typed. @returns the exit status */
export async function interactive(options: { readonly lab?: string; readonly seed?: number; readonly dmesg: boolean }): Promise<number> {
  const lab = await createLab({ ...(options.lab === undefined ? {} : { file: options.lab }), ...(options.seed === undefined ? {} : { seed: options.seed }) });
  const player = await Player.open(lab, { applets: programs });
  const input = createInterface({
    input: process.stdin, output: process.stdout, terminal: process.stdin.isTTY, historySize: 1000,
    completer: (line: string) => complete(lab, line),
  });
  let status = 0;
  input.setPrompt(process.stdin.isTTY ? 'root@lab:~# ' : '');
  input.prompt();
  for await (const line of input) {
    if (/^\s*exit(\s+\d+)?\s*$/.test(line)) {
      status = Number(/\d+/.exec(line)?.[0] ?? status);
      break;
    }
    const mark = lab.log.mark;
    const { out } = await player.play(line);
    status = Number(out.at(-1)?.slice('exit: '.length) ?? 0);
    for (const text of out.slice(0, -1)) {
      if (text.startsWith('stderr: ')) process.stderr.write(`${text.slice('stderr: '.length)}\n`);
      else process.stdout.write(`${text}\n`);
    }
    if (options.dmesg) for (const entry of lab.log.since(mark)) process.stderr.write(`[${formatLogLine(entry)}]\n`);
    input.prompt();
  }
  input.close();
  await player.close();
  for (const what of await lab.close()) process.stderr.write(`left behind: ${what}\n`);
  return status;
}
