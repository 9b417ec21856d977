/** Getting a shell back that waits for what cannot happen. */
import type { Process } from '@vdpalab/fs';
import type { Lab, UserProcess } from '@vdpalab/lab';
import { SIGKILL } from '@vdpalab/uapi';

/** Kill what a shell has started, so that it comes to its next command; what is in state D stays. */
export async function interrupt(lab: Lab, shell: UserProcess): Promise<void> {
  await lab.kernel(async () => {
    const isBelow = (proc: Process | null): boolean => proc !== null && (proc.parent === shell.proc || isBelow(proc.parent));
    for (const proc of lab.symbol('processes')()) if (isBelow(proc)) shell.kill(proc.pid, SIGKILL);
  });
}
