/** How mounts begin and end, well and badly. Servers that are to die or hang are children. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createLab } from '@vdpalab/lab';
import { expect, test } from 'vitest';
import { mountLab } from './mount-lab.ts';
import { isMounted, MountError, mountFuse } from './mount.ts';
import { bestReader } from './reader.ts';
import { bash, emptyDirectory, needsFuse, removeDirectory } from './testing/real.ts';

const program = fileURLToPath(new URL('../dist/testing/server.js', import.meta.url));

/** A server in a process of its own, which serves already. */
async function startServer(dir: string, patience: number, what = '', ...reader: readonly string[]): Promise<{ child: ChildProcess; lines: AsyncIterator<string> }> {
  const child = spawn('timeout', ['-s', 'KILL', '60', process.execPath, program, dir, `${patience}`, what, ...reader], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator](); // stdout is a pipe
  expect((await lines.next()).value).toBe('serving');
  return { child, lines };
}

/** Send the server itself a signal; `timeout` passes only some of them on. */
async function signal(child: ChildProcess, name: string): Promise<void> {
  expect(await bash('kill -s "$2" $(pgrep -P "$1")', `${child.pid}`, name)).toMatchObject({ stderr: '', status: 0 });
}

/** Wait until the directory is no mount, at most ten seconds. */
async function untilGone(dir: string): Promise<void> {
  for (let i = 0; i < 500 && isMounted(dir); i++) await pause(20);
  expect(isMounted(dir)).toBe(false);
}

test('what is no empty directory is refused, and says why', async (context) => {
  needsFuse(context);
  const dir = emptyDirectory();
  const file = join(dir, 'file');
  writeFileSync(file, '');
  const mount = (path: string): Promise<unknown> => mountFuse(path, {}, { onBug: () => {} });
  await expect(mount(dir)).rejects.toThrow(new MountError(`${dir}: not empty`));
  await expect(mount(file)).rejects.toThrow(new MountError(`${file}: not a directory`));
  await expect(mount(join(dir, 'none'))).rejects.toThrow(new MountError(`${dir}/none: there is no such directory`));
  rmSync(file);
  removeDirectory(dir);
});

test('a lab that cannot be mounted is as it was', async () => {
  const lab = await createLab({ clock: 'paced' });
  await expect(mountLab(lab, '/nonexistent')).rejects.toThrow(MountError);
  expect(await lab.close()).toEqual([]);
});

test('a place inside a mount of this process is refused without looking there', async (context) => {
  needsFuse(context);
  const lab = await createLab({ clock: 'paced' });
  const dir = emptyDirectory();
  const mounted = await mountLab(lab, dir);
  await expect(mountLab(lab, `${dir}/tmp`)).rejects.toThrow(`${dir}/tmp: is inside ${dir}, which this process serves`);
  await expect(mountLab(lab, dir)).rejects.toThrow(/is inside/);
  await mounted.unmount();
  await mounted.unmount(); // a second time is nothing
  removeDirectory(dir);
  expect(await lab.close()).toEqual([]);
});

test.for(['watching', 'waiting'] as const)('umount from outside ends the service (%s), and the directory can be mounted again', async (reader, context) => {
  needsFuse(context);
  if (reader === 'watching' && bestReader() !== reader) context.skip('koffi is not installed');
  const lab = await createLab({ clock: 'paced' });
  const dir = emptyDirectory();
  for (let round = 0; round < 3; round++) {
    const mounted = await mountLab(lab, dir, { reader });
    expect(await bash('cat "$1/proc/sys/kernel/ostype"; umount "$1"', dir)).toEqual({ stdout: 'Linux\n', stderr: '', status: 0 });
    await mounted.closed;
  }
  removeDirectory(dir);
  expect(await lab.close()).toEqual([]);
});

test('unmounting puts out who is inside, asleep or not', async (context) => {
  needsFuse(context);
  const lab = await createLab({ clock: 'paced' });
  const wq = lab.symbol('init_waitqueue_head')('never');
  await lab.kernel(async () => lab.symbol('kernfs_create_file')(lab.symbol('sysfs_root'), 'sleepy', 0o444, {
    show: async () => {
      await lab.symbol('wait_event_interruptible')(wq, () => false, 'never', 'never');
      return '';
    },
  }));
  const dir = emptyDirectory();
  const mounted = await mountLab(lab, dir);
  const sitter = bash('cd "$1/sys" && exec 3<kernel/mm 3<. ; cat sleepy; echo $?', dir);
  while (wq.waiters.size === 0) await pause(5);
  await mounted.unmount();
  expect(isMounted(dir)).toBe(false);
  const { stdout, stderr } = await sitter;
  expect(stdout).toBe('1\n');
  expect(stderr).toMatch(/cat: sleepy: (Software caused connection abort|Transport endpoint is not connected)/);
  removeDirectory(dir);
  expect(await lab.close()).toEqual([]);
});

test('unmounting does not wait for ever for a last close, and says which', async (context) => {
  needsFuse(context);
  const lab = await createLab({ clock: 'paced' });
  const wq = lab.symbol('init_waitqueue_head')('release');
  let free = false;
  const major = await lab.kernel(async () => {
    const number = lab.symbol('alloc_chrdev_region')('stuck', 0, 1);
    lab.symbol('cdev_add')(number, 0, { release: () => lab.symbol('wait_event')(wq, () => free, 'the test') }, null, null);
    lab.symbol('devtmpfs_create_node')('stuck', number, 0, 0o600);
    return number;
  });
  const dir = emptyDirectory();
  const bugs: string[] = [];
  const mounted = await mountLab(lab, dir, { onBug: (text) => bugs.push(text) });
  expect(await bash(': < "$1/dev/stuck"', dir)).toEqual({ stdout: '', stderr: '', status: 0 });
  await mounted.unmount();
  expect(bugs).toEqual(['fuse: the last close of /dev/stuck does not end']);
  removeDirectory(dir);
  free = true;
  await lab.kernel(async () => {
    lab.symbol('wake_up')(wq);
    lab.symbol('devtmpfs_delete_node')('stuck');
    lab.symbol('cdev_del')(major, 0);
    lab.symbol('unregister_chrdev_region')(major);
    while (lab.symbol('fs_leftovers')().some((what) => what.includes('stuck'))) await lab.symbol('msleep')(1);
  });
  expect(await lab.close()).toEqual([]);
});

test('after kill -9 of the server nothing is left, with callers inside or without', async (context) => {
  needsFuse(context);
  const dir = emptyDirectory();
  for (const script of ['true', 'cd "$1/sys"; exec 3<.; echo in; read -r x <"$1/proc/version"; sleep 0.5']) {
    const { child } = await startServer(dir, 5);
    const sitter = bash(script, dir);
    if (script !== 'true') await pause(200);
    const gone = once(child, 'exit');
    await signal(child, 'KILL');
    await untilGone(dir);
    await gone;
    await sitter;
  }
  removeDirectory(dir);
});

test.for([['watching', 'stat'], ['watching', 'spin'], ['waiting', 'stat'], ['waiting', 'spin']] as const)('a %s server that comes to a standstill (%s) is unmounted, and its callers are let go', async ([reader, what], context) => {
  needsFuse(context);
  if (reader === 'watching' && bestReader() !== reader) context.skip('koffi is not installed');
  const dir = emptyDirectory();
  const { child, lines } = await startServer(dir, 1, what, reader);
  const gone = once(child, 'exit');
  await signal(child, 'USR2');
  const looker = await bash('ls "$1/sys"', dir);
  expect(looker.status).not.toBe(0);
  await untilGone(dir);
  const said: string[] = [];
  for (let line = await lines.next(); line.done !== true; line = await lines.next()) said.push(line.value);
  expect(said).toEqual([...(what === 'stat' ? [expect.stringMatching(/^E/)] : []), 'closed', '[]']);
  await gone;
  removeDirectory(dir);
});

test('SIGTERM ends a server in good order', async (context) => {
  needsFuse(context);
  const dir = emptyDirectory();
  const { child, lines } = await startServer(dir, 5);
  expect((await bash('ls "$1"', dir)).stdout).toContain('proc\n');
  await signal(child, 'TERM');
  expect([(await lines.next()).value, (await lines.next()).value]).toEqual(['closed', '[]']);
  expect(isMounted(dir)).toBe(false);
  removeDirectory(dir);
});

test('whoever may not mount, or has no /dev/fuse, is told so', async (context) => {
  needsFuse(context);
  const dir = emptyDirectory();
  const missing = await bash('unshare -m bash -c \'mount -t tmpfs none /dev && exec "$@"\' bash "$2" "$3" "$1"', dir, process.execPath, program);
  expect(missing.stderr).toContain('MountError: /dev/fuse is missing');
  const denied = await bash('unshare -m bash -c \'mount --bind /dev/null /dev/fuse && exec "$@"\' bash "$2" "$3" "$1"', dir, process.execPath, program);
  expect(denied.stderr).toContain(`MountError: ${dir}: mount: ${dir}: `);
  removeDirectory(dir);
});
