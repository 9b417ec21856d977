import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { vdpalab } from '../program.ts';
import { QuestionError } from './questions.ts';

const folder = mkdtempSync(join(tmpdir(), 'graph-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What `vdpalab graph ...` prints. */
async function graph(...args: string[]): Promise<string> {
  const printed: string[] = [];
  const command = vdpalab({ out: (text) => void printed.push(text), err: (text) => void printed.push(text), input: process.stdin, exit: () => undefined });
  for (const sub of [command, ...command.commands]) sub.exitOverride();
  await command.parseAsync(['node', 'vdpalab', 'graph', ...args]);
  return printed.join('');
}

describe('vdpalab graph, asked about our own modules', () => {
  it('says why one brings in another, by name or by package', async () => {
    expect(await graph('why', 'virtio-vdpa', 'vdpa')).toMatch(/^virtio_vdpa needs vdpa: .*vdpa_unregister_driver.* {2}<- no way around\n$/);
    expect(await graph('why', 'vdpa', 'virtio_vdpa')).toBe('vdpa does not need virtio_vdpa\n');
  });

  it('says what breaks, and which hardware loses its driver', async () => {
    const text = await graph('impact', 'vdpa');
    expect(text).toContain('vhost_vdpa breaks: vhost_vdpa needs vdpa');
    expect(text).toMatch(/^ifcvf breaks: .*loaded for pci:v00001AF4d00001001sv00008086/m);
  });

  it('finds no knot', async () => {
    expect(await graph('cycles')).toBe('no cycles\n');
    expect(await graph('cycles', '--builtin')).toBe('no cycles\n');
  });

  it('knows every symbol, built-in ones included', async () => {
    expect(await graph('symbols', 'vdpa_set_status')).toMatch(/^vdpa_set_status: owner vdpa, any licence, crc 0x[0-9a-f]{8}\n {2}used by vhost_mdev, vhost_vdpa, virtio_vdpa\n$/);
    expect(await graph('symbols', 'mutex_lock')).toContain('owner sched');
    await expect(graph('symbols', 'nobody_*')).rejects.toThrow(new QuestionError('no module of this tree exports nobody_*'));
  });

  it('answers as data', async () => {
    const found = JSON.parse(await graph('why', 'vhost_vdpa', 'vhost', '--json')) as { path: { from: string; to: string }[] };
    expect(found.path.map((e) => `${e.from} ${e.to}`)).toEqual(['vhost_vdpa vhost']);
  });

  it('refuses a module that is not in the tree, naming those that sound alike', async () => {
    await expect(graph('impact', 'vhost_vdp')).rejects.toThrow(/no module vhost_vdp in this tree; there is .*vhost_vdpa/);
  });

  it('compares the trees of two lab files', async () => {
    const all = join(folder, 'all.yaml');
    const few = join(folder, 'few.yaml');
    writeFileSync(all, '');
    writeFileSync(few, 'modules: {without: [ifcvf, vhost-vdpa]}\n');
    const text = await graph('diff', all, few);
    expect(text).toMatch(/^- vhost_vdpa$/m);
    expect(text).toMatch(/^- alias pci:v00001AF4d00001041sv00008086/m);
    expect(await graph('diff', all, all)).toBe('no difference\n');
    expect(await graph('unused-exports', '--lab', few)).toMatch(/^vhost: .*vhost_chr_write_iter/m);
  });
});
