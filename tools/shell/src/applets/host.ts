/** `hostcp`: files between the host and the lab. Not among the lab's programs: a door that allows it adds it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { O_CREAT, O_TRUNC, O_WRONLY } from '@vdpalab/uapi';
import type { Applet } from '../program.ts';
import { readBytes, writeBytes } from '../streams.ts';
import { errnoText, errorText } from '../system.ts';

/** Copy a host file into the lab; with `-o`, a file of the lab out to the host. */
export const hostcp: Applet = async (c) => {
  const out = c.args[0] === '-o';
  const [from, to, ...rest] = out ? c.args.slice(1) : c.args;
  if (from === undefined || to === undefined || rest.length > 0) {
    await c.err('usage: hostcp HOSTPATH LABPATH\n       hostcp -o LABPATH HOSTPATH\n');
    return 2;
  }
  try {
    if (out) {
      const fd = await c.p.open(from);
      try {
        writeFileSync(to, await readBytes(c.p, fd));
      } finally {
        await c.p.close(fd);
      }
      return 0;
    }
    const bytes = readFileSync(from);
    const fd = await c.p.open(to, O_WRONLY | O_CREAT | O_TRUNC, 0o666);
    try {
      await writeBytes(c.p, fd, bytes);
    } finally {
      await c.p.close(fd);
    }
    return 0;
  } catch (error) {
    return c.fail(`${from} to ${to}: ${hostErrorText(error) ?? errorText(error)}`);
  }
};

/** What the host's system call said; `null` for a refusal of the lab. */
function hostErrorText(error: unknown): string | null {
  if (!(error instanceof Error) || !('syscall' in error) || !('code' in error)) return null;
  return `host: ${errnoText(String(error.code))}`;
}
