import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { covers } from '@vdpalab/features';
import { hostAvailable } from '@vdpalab/libc';
import { describe, expect, it } from 'vitest';
import { serveVhostUser } from './vhost-user.ts';

async function type(text: string): Promise<{ out: string; err: string; status: number }> {
  let [out, err] = ['', ''];
  const status = await serveVhostUser([], { input: Readable.from([text]), out: (t) => void (out += t), err: (t) => void (err += t) });
  return { out, err, status };
}

describe.runIf(hostAvailable())('vdpalab vhost-user', () => {
  it('lists, creates, counts, and leaves nothing behind', async () => {
    covers('3.1.15');
    const folder = mkdtempSync(join(tmpdir(), 'vdpa-app-'));
    const { out, err, status } = await type(`create ${folder}/a vdpa0\nlist\nstats vdpa0 1\ndestroy ${folder}/a\ncreate ${folder}/b vdpa0\nquit\n`);
    expect(err).toBe('');
    expect(out).toMatch(new RegExp(`^vdpa0\t1\t0x[0-9a-f]+\t${folder}/a\nvdpa1\t-\t-\t-$`, 'm'));
    expect(out).toContain('kicks\t0\ninterrupts\t0\n');
    expect(status).toBe(0);
    expect(readdirSync(folder)).toEqual([]);
    rmSync(folder, { recursive: true });
  });

  it('says what cannot be', async () => {
    const { err, status } = await type('create /nosuch/a vdpa0\ncreate /tmp/x vdpa7\nfly\n');
    expect(err).toMatch(/\/nosuch\/a: .*EACCES|\/nosuch\/a: bind/);
    expect(err).toContain('vdpa7: not a vDPA device that vhost_vdpa drives (ENODEV)');
    expect(err).toContain('fly: no such command');
    expect(status).toBe(1);
  });
});
