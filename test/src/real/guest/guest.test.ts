import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpioArchive } from './cpio.ts';
import { Guest, GuestError } from './guest.ts';
import { startHttpPeer } from './http-peer.ts';
import { GuestImage, missing, required } from './image.ts';
import { httpBothWays, linkUp, ping } from './traffic.ts';

const absent = missing();

describe.skipIf(absent !== null && !required)(`a guest in QEMU${absent === null ? '' : ` (missing: ${absent})`}`, () => {
  let image: GuestImage;
  beforeAll(() => {
    image = new GuestImage();
  });
  afterAll(() => image.close());

  it('unpacks what cpio writes, names and contents of any length', () => {
    const entries = [
      { path: 'd', mode: 0o40755 },
      ...Array.from({ length: 9 }, (_, i) => ({ path: `d/${'f'.repeat(i + 1)}`, mode: 0o100640, data: Buffer.from('x'.repeat(i)) })),
      { path: 'd/link', mode: 0o120777, data: Buffer.from('target') },
    ];
    const list = spawnSync('busybox', ['cpio', '-tv'], { input: cpioArchive(entries), encoding: 'utf8' });
    const words = list.stdout.trim().split('\n').map((line) => line.split(/\s+/));
    expect(words.map((w) => [w[0], w[2], w.slice(5).join(' ')])).toEqual([
      ['drwxr-xr-x', '0', 'd'],
      ...Array.from({ length: 9 }, (_, i) => ['-rw-r-----', `${i}`, `d/${'f'.repeat(i + 1)}`]),
      ['lrwxrwxrwx', '0', 'd/link -> target'],
    ]);
  });

  it('boots, runs commands, reaches QEMU\'s own network over virtio-net, restarts, and switches off', async () => {
    const { peer, close } = await startHttpPeer();
    const guest = await Guest.start(image, { args: ['-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0,romfile='], restarts: true });
    try {
      expect(await guest.run('uname -r; echo problem >&2; exit 3')).toEqual({ stdout: `${image.release}\nproblem\n`, status: 3 });
      expect(await guest.run('printf "no newline"')).toEqual({ stdout: 'no newline', status: 0 });
      await expect(guest.ok('false')).rejects.toThrow('false: exit status 1');
      await expect(guest.run('a\nb')).rejects.toThrow(RangeError);
      await linkUp(guest, '10.0.2.15');
      expect(await ping(guest, peer, 5)).toMatchObject({ sent: 5, received: 5 });
      expect(await ping(guest, { ip: '10.0.2.77' }, 1)).toMatchObject({ sent: 1, received: 0, least: NaN });
      expect(await httpBothWays(guest, peer, 100_000)).toMatchObject({ bytes: 100_000, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
      await guest.ok('touch /tmp/before');
      await guest.restart();
      expect(await guest.run('ls /tmp')).toEqual({ stdout: '', status: 0 });
      expect(guest.console).not.toContain('init:');
    } finally {
      await guest.poweroff();
      await close();
    }
    await expect(guest.run('true')).rejects.toThrow(GuestError);
    expect(existsSync(`/proc/${guest.pid}`)).toBe(false);
  });

  it('says what QEMU said when it does not start', async () => {
    await expect(Guest.start(image, { args: ['-netdev', 'nonsense'] })).rejects.toThrow(/QEMU ended with status 1\nQEMU: .*nonsense/);
    await expect(Guest.start(image, { command: ['/nowhere/qemu'] })).rejects.toThrow('ENOENT');
  });

  it('says what the kernel said when it does not come up, and what was asked when nothing answers', async () => {
    await expect(Guest.start(image, { append: 'rdinit=/nowhere root=' })).rejects.toThrow(/QEMU ended[^]*Kernel panic/);
    const guest = await Guest.start(image);
    await expect(guest.run('sleep 1000', 200)).rejects.toThrow('no answer to: sleep 1000 (in 200 ms)');
    await expect(guest.run('true')).rejects.toThrow('no answer to: sleep 1000');
    await guest.kill();
    expect(existsSync(`/proc/${guest.pid}`)).toBe(false);
  });
});
