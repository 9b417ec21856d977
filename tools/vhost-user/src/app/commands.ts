/** What may be typed: `list`, `create`, `destroy`, `stats`, `quit`. @see DPDK examples/vdpa/main.c */
import { isKernelError } from '@vdpalab/abi';
import type { VdpaApp } from './app.ts';

/** Help, a line for each command. */
export const COMMANDS = `list                      devices, their queue pairs, features and sockets
create SOCKET DEVICE      let front-ends at SOCKET have DEVICE
destroy SOCKET            take it back
stats DEVICE [QUEUE]      what a queue has counted
quit                      disconnect all and end
help                      this
`;

/** What a command said. */
export interface Said {
  readonly text: string;
  readonly ok: boolean;
  /** `quit` was typed. */
  readonly quit: boolean;
}

const said = (text: string, ok = true, quit = false): Said => ({ text, ok, quit });

/** Carry out one line, in a task of the application's process. */
export async function runLine(app: VdpaApp, line: string): Promise<Said> {
  const [command = '', ...args] = line.trim().split(/\s+/);
  const [one, two] = args;
  try {
    if (command === '') return said('');
    if (command === 'help') return said(COMMANDS);
    if (command === 'list' && args.length === 0) return said(['device name\tqueue num\tsupported features\tsocket', ...await app.list(), ''].join('\n'));
    if (command === 'create' && one !== undefined && two !== undefined && args.length === 2) {
      await app.create(one, two);
      return said('');
    }
    if (command === 'destroy' && one !== undefined && args.length === 1) {
      await app.destroy(one);
      return said('');
    }
    if (command === 'stats' && one !== undefined && args.length <= 2 && /^\d*$/.test(two ?? '')) return said(`${app.stats(one, Number(two ?? 0)).join('\n')}\n`);
    if (command === 'quit' && args.length === 0) {
      app.quit();
      return said('', true, true);
    }
    return said(`${command}: no such command, or not with these words\n${COMMANDS}`, false);
  } catch (error) {
    if (!isKernelError(error)) throw error;
    return said(`${error.message} (${error.errno})\n`, false);
  }
}
