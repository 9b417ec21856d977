/** Opening a file of the lab's own mount, which the process that serves it must leave to another. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { takeFd } from '@vdpalab/libc';

/** Opens its argument as descriptor 3, says so, and stays until its input ends. */
const OPEN = 'exec 3<>"$1" && echo && read -r _';

/**
 * @param path of the file, as another process finds it
 * @returns a descriptor of this process
 * @throws Error when it cannot be opened
 */
export async function openByHelper(path: string): Promise<number> {
  const helper = spawn('sh', ['-c', OPEN, 'sh', path], { stdio: ['pipe', 'pipe', 'pipe'] });
  let complaint = '';
  helper.stderr.setEncoding('utf8').on('data', (text: string) => void (complaint += text));
  helper.stdin.on('error', () => {});
  const closed = once(helper, 'close');
  const opened = await Promise.race([once(helper.stdout, 'data').then(() => true), closed.then(() => false)]);
  if (!opened) throw new Error(complaint.trim());
  try {
    return takeFd(helper.pid as number, 3); // it runs
  } finally {
    helper.stdin.end();
    await closed;
  }
}
