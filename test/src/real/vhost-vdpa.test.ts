/** /dev/vhost-vdpa-N for processes of the host: what a recorded 6.1 kernel answers, call by call. */
import { readFileSync } from 'node:fs';
import { vhostTest } from '@vdpalab/user';
import { describe, expect, test } from 'vitest';
import { mountedLab, needsReal } from './mounted-lab.ts';
import { RealProcess } from './real-process.ts';

const ADD = 'vdpa dev add name vdpa0 mgmtdev vdpasim_net mac 52:54:00:12:34:56 mtu 1500';

/** Mapping a file of the mount is the host's kernel's business: shared it refuses, private it allows. */
const MMAP = ['-1 ENODEV', '-1 ENODEV', '-1 ENODEV', '0'];

/** What vhosttest printed on a real kernel, but for the doorbell. */
function recording(): string[] {
  const text = readFileSync(new URL('../../data/reference/linux-6.1/10-vhost-uapi.txt', import.meta.url), 'utf8');
  const from = text.indexOf('$ vhosttest /dev/vhost-vdpa-0\n');
  const lines = text.slice(from, text.indexOf('\nexit: 0', from)).split('\n').slice(1);
  const mmaps = lines.findIndex((line) => line.startsWith('mmap '));
  return lines.map((line, i) => (i >= mmaps && i < mmaps + MMAP.length ? line.replace(/-> .*/, `-> ${MMAP[i - mmaps]}`) : line));
}

describe('the vhost-vdpa character device', () => {
  test('answers every call of a real process as the recorded kernel does', async (context) => {
    needsReal(context);
    const { dir, sh, program, close } = await mountedLab({ config: { memory: '64M', iommu: false } }, ['vhost_vdpa', 'vdpa_sim_net']);
    await sh(ADD);
    const p = await RealProcess.start(program('syscalls.c'), dir);
    const lines: string[] = [];
    await vhostTest({ p, out: (text) => void lines.push(text.trimEnd()), inChild: (body) => p.inChild(body) }, '/dev/vhost-vdpa-0');
    await p.end();
    await sh('vdpa dev del vdpa0');
    expect(lines).toEqual(recording());
    expect(await close()).toEqual([]);
  }, 60_000);
});
