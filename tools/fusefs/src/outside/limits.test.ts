import { spawn, spawnSync } from 'node:child_process';
import { RLIMIT_MEMLOCK, RLIMIT_NOFILE } from '@vdpalab/uapi';
import { expect, it } from 'vitest';
import { HostLimits } from './limits.ts';

/** Run with the memory a child may lock. @param memlock as prlimit takes it */
async function limited<T>(memlock: string, body: (pid: number) => T): Promise<T> {
  const child = spawn('prlimit', [`--memlock=${memlock}`, 'sh', '-c', 'echo; read x'], { stdio: ['pipe', 'pipe', 'inherit'] });
  await new Promise((resolve) => {
    child.stdout.once('data', resolve);
  });
  try {
    return body(child.pid!);
  } finally {
    child.stdin.end();
  }
}

it('holds a process to the limit that was chosen for it, root too', async () => {
  await limited('40960:65536', (pid) => {
    for (const root of [true, false]) expect(new HostLimits(pid, () => root).get(RLIMIT_MEMLOCK)).toBe(40_960);
  });
  await limited('4096:4096', (pid) => expect(new HostLimits(pid, () => true).get(RLIMIT_MEMLOCK)).toBe(4096));
});

it('takes the limit that every process starts with for none of root\'s', async () => {
  await limited('65536:65536', (pid) => {
    expect(new HostLimits(pid, () => true).get(RLIMIT_MEMLOCK)).toBe(Number.POSITIVE_INFINITY);
    expect(new HostLimits(pid, () => false).get(RLIMIT_MEMLOCK)).toBe(65_536);
  });
});

it('has nothing left for a process that is gone, and lets the host count descriptors', () => {
  const { pid } = spawnSync('true');
  expect(new HostLimits(pid, () => true).get(RLIMIT_MEMLOCK)).toBe(0);
  expect(new HostLimits(pid, () => true).get(RLIMIT_NOFILE)).toBeGreaterThan(65_536);
});
