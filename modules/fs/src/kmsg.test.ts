import { LOG_USER, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, POLLERR, POLLIN, POLLPRI, SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_SET } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { bootFs, refusal, type TestKernel } from './testing/kernel.ts';
import { decodeText, encodeText } from './text.ts';

const SIZE = 8192;
const EVENTS = POLLIN | POLLPRI;

/** One process's open /dev/kmsg. */
async function openKmsg({ k, root, hw }: TestKernel, flags = O_RDONLY | O_NONBLOCK) {
  const fd = await k.ksys_open(root, '/dev/kmsg', flags);
  return {
    read: async (size = SIZE) => decodeText(await k.ksys_read(root, fd, size)),
    write: (text: string) => k.ksys_write(root, fd, encodeText(text)),
    seek: (whence: number, offset = 0) => k.ksys_lseek(root, fd, offset, whence),
    poll: async (timeout = 0) => (await k.ksys_poll(root, [{ fd, events: EVENTS }], timeout))[0],
    close: () => k.ksys_close(root, fd),
    say: (text: string, level = 6) => hw.machine.console(level, 0, text),
  };
}

test('a record is read as its priority, number, time and text, with what cannot be printed escaped', async () => {
  const kernel = await bootFs();
  await kernel.inTask(async () => {
    const file = await openKmsg(kernel);
    file.say('pci 0000:00:01.0: a \\ and\na second line, ü\t\x7f', 4);
    file.say('next');
    expect(await file.read()).toBe('4,0,0,-;pci 0000:00:01.0: a \\x5c and\\x0aa second line, \\xc3\\xbc\\x09\\x7f\n');
    expect(await file.read()).toBe('6,1,0,-;next\n');
    await expect(file.read()).rejects.toMatchObject(refusal('EAGAIN', 'kmsg.empty'));
    await file.close();
  });
  expect(kernel.leftovers()).toEqual([]);
});

test('time is in microseconds', async () => {
  const kernel = await bootFs();
  await kernel.inTask(async () => {
    const file = await openKmsg(kernel);
    await kernel.k.ksys_poll(kernel.root, [], 1_234_567_891);
    file.say('late');
    expect(await file.read()).toMatch(/^6,0,1234567,-;late\n$/);
    await file.close();
  });
});

test('a buffer that is too short loses the record', async () => {
  const kernel = await bootFs();
  await kernel.inTask(async () => {
    const file = await openKmsg(kernel);
    file.say('ab');
    file.say('cd');
    await expect(file.read(10)).rejects.toMatchObject(refusal('EINVAL', 'kmsg.size'));
    expect(await file.read(11)).toBe('6,1,0,-;cd\n');
    await file.close();
  });
});

test('seeks lead to the beginning, to what came after the last clear, and to the end', async () => {
  const kernel = await bootFs();
  await kernel.inTask(async () => {
    const file = await openKmsg(kernel);
    for (const text of ['one', 'two']) file.say(text);
    kernel.hw.log.clear();
    file.say('three');
    expect(await file.seek(SEEK_DATA)).toBe(0);
    expect(await file.read()).toBe('6,2,0,-;three\n');
    expect(await file.seek(SEEK_SET)).toBe(0);
    expect(await file.read()).toBe('6,0,0,-;one\n');
    expect(await file.seek(SEEK_END)).toBe(0);
    await expect(file.read()).rejects.toMatchObject(refusal('EAGAIN'));
    await expect(file.seek(SEEK_SET, 1)).rejects.toMatchObject(refusal('ESPIPE', 'kmsg.offset'));
    await expect(file.seek(SEEK_CUR)).rejects.toMatchObject(refusal('EINVAL', 'kmsg.whence'));
    await file.close();
  });
});

test('who is overtaken by the log hears of it once, by poll and by read', async () => {
  const kernel = await bootFs();
  await kernel.inTask(async () => {
    const file = await openKmsg(kernel);
    expect(await file.poll()).toBe(0);
    for (let i = 0; i <= 65_536; i++) file.say(`${i}`);
    expect(await file.poll()).toBe(POLLIN | POLLERR | POLLPRI);
    await expect(file.read()).rejects.toMatchObject(refusal('EPIPE', 'kmsg.overwritten'));
    expect(await file.poll()).toBe(POLLIN);
    expect(await file.read()).toBe('6,1,0,-;1\n');
    await file.close();
  });
});

test('a reader sleeps until there is a record, and so does who polls', async () => {
  const kernel = await bootFs();
  const { k, root, task } = kernel;
  const seen: (string | number | undefined)[] = [];
  task(root, 'reader', async () => {
    const file = await openKmsg(kernel, O_RDONLY);
    seen.push(await file.read());
    await file.close();
  });
  task(root, 'poller', async () => {
    const file = await openKmsg(kernel);
    seen.push(await file.poll(-1));
    await file.close();
  });
  await kernel.inTask(async () => {
    await k.ksys_poll(root, [], 1_000_000);
    seen.push('nobody');
    const file = await openKmsg(kernel, O_WRONLY);
    await file.write('<29>hello\n');
    await file.close();
  });
  expect(seen[0]).toBe('nobody');
  expect(seen.slice(1).toSorted()).toEqual([POLLIN, '29,0,1000,-;hello\n'].toSorted());
  expect(kernel.leftovers()).toEqual([]);
});

test('a line says its level and facility, the kernel\'s excepted', async () => {
  const kernel = await bootFs();
  await kernel.inTask(async () => {
    for (const text of ['plain', '<3>a\n\n', '<>b', '<29>c', '<4294967299>d', '<8191>e', '<x>f', '<7', 'g\0h', '']) {
      const file = await openKmsg(kernel, O_RDWR); // each may write some
      expect(await file.write(text)).toBe(encodeText(text).length);
      await file.close();
    }
    const file = await openKmsg(kernel, O_WRONLY);
    await file.write('x'.repeat(992));
    await expect(file.write('x'.repeat(993))).rejects.toMatchObject(refusal('EINVAL', 'kmsg.line'));
    await file.close();
  });
  expect(kernel.log.slice(0, 10).map(({ level, facility, text }) => [level, facility >> 3, text])).toEqual([
    [4, 1, 'plain'], [3, 1, 'a\n'], [0, 1, 'b'], [5, 3, 'c'], [3, 1, 'd'], [7, 255, 'e'], [4, 1, '<x>f'], [4, 1, '<7'], [4, 1, 'g'], [4, 1, ''],
  ]);
});

test('one open file writes ten lines in five seconds, and says at its end how many more it had', async () => {
  const kernel = await bootFs();
  await kernel.inTask(async () => {
    const file = await openKmsg(kernel, O_WRONLY);
    for (let i = 0; i < 13; i++) expect(await file.write(`${i}`)).toBe(`${i}`.length);
    await kernel.k.ksys_poll(kernel.root, [], 5_000_000_001);
    await file.write('later');
    await file.close();
  });
  expect(kernel.log.map(({ text }) => text)).toEqual([...Array(10).keys()].map(String).concat('later', 'root: 3 output lines suppressed due to ratelimiting'));
  expect(kernel.log.at(-1)).toMatchObject({ level: 4, facility: 0 });
});

test('the command line switches limits off, or the device', async () => {
  const on = await bootFs(1, 4 << 20, 'quiet printk.devkmsg=on');
  await on.inTask(async () => {
    const file = await openKmsg(on, O_WRONLY);
    for (let i = 0; i < 13; i++) await file.write('x');
    await file.close();
  });
  expect(on.log).toHaveLength(13);
  expect(on.log[0]?.facility).toBe(LOG_USER);
  const off = await bootFs(1, 4 << 20, 'printk.devkmsg=off');
  await off.inTask(async () => {
    await expect(openKmsg(off)).rejects.toMatchObject(refusal('EPERM', 'kmsg.off'));
  });
});
