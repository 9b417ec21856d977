import { readlinkSync } from 'node:fs';
import { HostProcesses } from '@vdpalab/fusefs';
import { createLab } from '@vdpalab/lab';
import { hostAvailable } from '@vdpalab/libc';
import { describe, expect, it } from 'vitest';
import { TrapSupervisor } from './supervisor.ts';

describe.runIf(hostAvailable())('a supervisor', () => {
  it('takes nothing for a filter\'s listener but one', async () => {
    const lab = await createLab({ clock: 'paced' });
    const processes = new HostProcesses(lab, () => {});
    const of = (pid: number, listener: number): unknown => TrapSupervisor.of({ pid, listener }, { lab, processes, families: ['log'], report: () => {} });
    expect(() => of(process.pid, 0)).toThrow(`--trap: descriptor 0 of process ${process.pid} is no listener of a filter`);
    expect(() => of(process.pid, 999_999)).toThrow(/cannot be had, which needs the right to trace it: .*EBADF/);
    expect(() => of(0x3fff_ffff, 0)).toThrow(/ESRCH/);
    expect(readlinkSync('/proc/self/fd/0')).not.toBe(''); // still open
    await processes.close();
    expect(await lab.close()).toEqual([]);
  });
});
