/** Programs the kernel runs in user space. Mirrors `call_usermodehelper` in `kernel/umh.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Lab } from '@vdpalab/lab';
import { Session, type SessionOptions } from './session.ts';
import type { System } from './system.ts';

/** What a shell answers when there is no such program. */
const NOT_FOUND = 127;

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

/**
 * Let a lab's kernel run the programs of a shell: as root, in a process of their own, with nowhere to write to.
 *
 * @param options programs it may run
 */
export function provideUsermode(lab: Lab, system: System, options: Pick<SessionOptions, 'applets'>): void {
  lab.usermodehelper = async (argv) => {
    const p = lab.spawnProcess('kworker/u4:0', { cwd: '/' });
    let status = NOT_FOUND;
    const task = system.start(p, argv[0] ?? '', async () => {
      const session = await Session.open(system, p, { ...options, name: 'sh', env: { HOME: '/', TERM: 'linux', PATH: '/sbin:/usr/sbin:/bin:/usr/bin' } });
      status = (await session.run(argv.map(quoted).join(' '))).status;
    });
    await lab.hw.machine.sched.join(task);
    await lab.symbol('process_exit')(p.proc);
    if (status === NOT_FOUND) throw new KernelError('ENOENT', 'umh.exec', `${argv[0] ?? ''}: no such program`);
    return status;
  };
}
