import { readFileSync } from 'node:fs';
import { covers } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import { testShell, type TestShell } from '../testing/shell-kernel.ts';
import { SIMULATORS } from '../testing/simulators.ts';
import { sameOutput } from '../transcript/compare.ts';
import { parseTranscript } from '../transcript/parse.ts';

const file = new URL('../../testdata/linux-6.1.vdpa.txt', import.meta.url);
const golden = parseTranscript(readFileSync(file, 'utf8'), 'linux-6.1.vdpa.txt');

const simulated = (): Promise<TestShell> => testShell({}, SIMULATORS);

test('prints what iproute2 6.1 prints, on the same devices', async () => {
  covers('2.3.16');
  const { sh } = await simulated();
  const different: unknown[] = [];
  for (const { command, line, out } of golden.commands) {
    const { stdout, stderr, status } = await sh(command);
    const got = [...stdout.split('\n').slice(0, -1), ...stderr.split('\n').slice(0, -1).map((text) => `stderr: ${text}`), `exit: ${status}`];
    if (!sameOutput(out, got, command)) different.push({ line, command, wanted: out, got });
  }
  expect(different).toEqual([]);
  expect(golden.commands.length).toBeGreaterThan(70);
});

test('says so when the family is not there', async () => {
  const { sh } = await testShell({}, ['driver-core', 'netlink']);
  expect(await sh('vdpa dev show')).toEqual({ stdout: '', stderr: 'Failed to connect to vdpa Netlink\n', status: 1 });
});

test('others may look and not touch', async () => {
  const { sh } = await simulated();
  await sh('vdpa dev add name z0 mgmtdev vdpasim_net');
  const add = "busybox su -s /bin/sh nobody -c 'vdpa dev add name q mgmtdev vdpasim_net; echo rc=$?'";
  expect(await sh(add)).toEqual({ stdout: 'rc=1\n', stderr: 'kernel answers: Operation not permitted\n', status: 0 });
  const show = "busybox su -s /bin/sh nobody -c 'vdpa dev show; echo rc=$?'";
  expect((await sh(show)).stdout).toBe('z0: type network mgmtdev vdpasim_net vendor_id 0 max_vqs 3 max_vq_size 256\nrc=0\n');
});
