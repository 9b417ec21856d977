/** A program that comes in by the mount and by trapped calls. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Process } from '@vdpalab/fs';
import { askTrap, enter, installedTrap, letBegin, serveLab, trapWords } from '@vdpalab/launcher';
import { applets } from '@vdpalab/shell';
import { expect, it, vi } from 'vitest';
import { modprobe } from '../support/modprobe.ts';
import { needsEntry, outcome, said } from './cli.ts';
import { whyNoTrap } from './trapped.ts';

/** Opens a device, asks the kernel log's size, waits for a line. */
const PROGRAM = 'open F, "+<", "/dev/vduse/control" or die; $| = 1; print syscall(103, 10, 0, 0), "\\n"; <STDIN>';

it('is one process of the lab, and none once it has ended', async (context) => {
  needsEntry(context, 'perl');
  const why = whyNoTrap();
  if (why !== null || process.arch !== 'x64') return context.skip(why ?? 'numbers of system calls are x86-64\'s');
  const folder = mkdtempSync(join(tmpdir(), 'vdpalab-doors-'));
  vi.stubEnv('VDPALAB_RUNTIME_DIR', join(folder, 'r'));
  const { lab, paths, world, down } = await serveLab({ name: 'doors', lab: {}, applets });
  try {
    await lab.user((p) => modprobe(lab, p, 'vduse'));
    const programs = (): Process[] => lab.symbol('processes')().filter(({ comm }) => comm === 'perl');
    const child = enter(world!.entrance, [...trapWords(3, ['log']), 'perl', '-e', PROGRAM], { bin: paths.bin, stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
    const ended = outcome(child);
    const channel = child.stdio[3] as Duplex;
    await askTrap(paths.socket, (await installedTrap(channel))!, ['log']);
    const answered = said(child, '131072\n');
    letBegin(channel);
    await answered;
    expect(programs().map(({ files }) => [...files.values()].map((file) => file.path))).toEqual([['/dev/vduse/control']]);
    child.stdin?.end('\n');
    expect(await ended).toEqual({ stdout: '131072\n', stderr: '', status: 0 });
    await vi.waitFor(() => expect(programs()).toEqual([]));
  } finally {
    expect(await down()).toEqual([]);
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  }
});
