import type { AtomicWork } from '@vdpalab/abi';
import { expect, test } from 'vitest';
import { createLab } from './lab.ts';

test('a paced lab runs by itself: calls return when their body is done, while others wait', async () => {
  const lab = await createLab({ clock: 'paced' });
  const process = await lab.process('one');
  const [read, write] = await lab.as(process, async (p) => p.pipe());
  const waiter = lab.as(process, async (p) => p.read(read, 10));
  const pid = await lab.as(process, async (p) => p.pid);
  expect(pid).toBe(process.pid);
  await lab.as(process, async (p) => p.write(write, 'hello'));
  expect(new TextDecoder().decode(await waiter)).toBe('hello');
  await lab.exitProcess(process);
  expect(await lab.close()).toEqual([]);
});

test('its clock is real time, and a sleeping call does not hold others up', async () => {
  const lab = await createLab({ clock: 'paced' });
  const order: string[] = [];
  const sleeper = lab.kernel(async () => {
    await lab.symbol('msleep')(20);
    order.push('sleeper');
  });
  await lab.kernel(async () => void order.push('quick'));
  await sleeper;
  expect(order).toEqual(['quick', 'sleeper']);
  expect(lab.hw.sched.now).toBeGreaterThan(20e6);
  expect(await lab.close()).toEqual([]);
});

test('what a body throws comes back, and run() is refused', async () => {
  const lab = await createLab({ clock: 'paced' });
  await expect(lab.kernel(async () => { throw new Error('no'); })).rejects.toThrow('no');
  await expect(lab.run()).rejects.toThrow('runs by itself');
  expect(await lab.close()).toEqual([]);
  await expect(lab.kernel(async () => undefined)).rejects.toThrow('closed');
});

test('a crash in atomic context ends the calls under way, and later ones', async () => {
  const lab = await createLab({ clock: 'paced' });
  const process = await lab.process('one');
  const waiting = lab.as(process, async (p) => p.read(p.pipe()[0], 1));
  lab.hw.sched.post('bomb', () => { throw new Error('bang'); });
  await expect(waiting).rejects.toThrow('the lab crashed: bang');
  await expect(lab.kernel(async () => undefined)).rejects.toThrow('the lab crashed: bang');
});

test('a machine that always has work lets the host\'s event loop in', async () => {
  const lab = await createLab({ clock: 'paced' });
  const { sched } = lab.hw;
  let turns = 0;
  let on = true;
  // Work of half a millisecond that comes back at once, as a queue with traffic does.
  const busy: AtomicWork = {
    name: 'busy', pending: false, cause: 0,
    run: () => {
      turns++;
      for (const until = performance.now() + 0.5; performance.now() < until;);
      return on ? sched.raise(busy) : undefined;
    },
  };
  sched.post('begin', () => sched.raise(busy));
  const ticks: number[] = [];
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      ticks.push(turns);
      if (ticks.length < 20) return;
      clearInterval(timer);
      resolve();
    }, 1);
  });
  on = false;
  expect(Math.max(...ticks.map((at, i) => at - (ticks[i - 1] ?? at)))).toBeLessThan(64);
  expect(await lab.close()).toEqual([]);
});
