/** `calls FILE`: make the system calls a script says, and say what came of each. */
import type { Applet, Program } from '@vdpalab/shell';
import { Calls, CallsError } from '@vdpalab/user';

/** Separates the lines of a block that is given to a child. */
const LINE = '\n';

async function play(c: Program, lines: readonly string[], vars: ReadonlyMap<string, bigint>): Promise<number> {
  const host = {
    p: c.p,
    say: async (text: string) => {
      c.out(text);
      await c.flush();
    },
    shell: (text: string) => c.launch.runShell(text),
    child: async (script: readonly string[], values: ReadonlyMap<string, bigint>) => {
      const child = await c.launch.start([c.name, '-c', script.join(LINE), ...[...values].map(([name, value]) => `${name}=${value}`)]);
      return async () => void await child.wait();
    },
  };
  try {
    await Calls.run(host, lines, vars);
    return 0;
  } catch (error) {
    if (!(error instanceof CallsError)) throw error;
    await host.say(`calls: ${error.message}\n`);
    return 2;
  }
}

/** The program. */
export const calls: Applet = async (c) => {
  const [file, text = '', ...values] = c.args;
  if (file === '-c') return play(c, text.split(LINE), new Map(values.map((value) => [value.split('=')[0] ?? '', BigInt(value.split('=')[1] ?? '0')])));
  if (file === undefined || c.args.length > 1) {
    await c.err('usage: calls FILE\n');
    return 2;
  }
  return play(c, (await c.read(file)).split(LINE), new Map());
};
