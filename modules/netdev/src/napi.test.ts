import { describe, expect, it } from 'vitest';
import { bootNet } from './testing/kernel.ts';

describe('NAPI', () => {
  it('polls once for each schedule, in atomic work', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const { dev } = await kernel.device('eth%d');
    const polls: [number, boolean][] = [];
    const napi = k.netif_napi_add(dev, 'rx', 64, (budget) => {
      polls.push([budget, kernel.machine.sched.atomic]);
      k.napi_complete_done(napi, 0);
      return 0;
    });
    expect(k.napi_schedule(napi)).toBe(false); // not enabled yet
    k.napi_enable(napi);
    expect([k.napi_schedule(napi), k.napi_schedule(napi), polls]).toEqual([true, false, []]);
    await kernel.settle();
    // The second schedule came before the first was polled: it is polled again.
    expect(polls).toEqual([[64, true], [64, true]]);
    expect([k.napi_schedule(napi), k.netdev_leftovers()]).toEqual([true, ['network device eth0 (registered)', 'napi eth0 rx']]);
    await kernel.settle();
    await kernel.run(() => k.napi_disable(napi));
    k.netif_napi_del(napi);
    expect(() => k.napi_schedule(napi)).toThrow('after netif_napi_del');
  });

  it('goes on while a poll uses its whole budget, and completes with less', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const { dev } = await kernel.device('eth%d');
    let left = 150;
    const done: boolean[] = [];
    const napi = k.netif_napi_add(dev, 'rx', 64, (budget) => {
      const work = Math.min(left, budget);
      left -= work;
      if (work < budget) done.push(k.napi_complete_done(napi, work));
      return work;
    });
    k.napi_enable(napi);
    k.napi_schedule(napi);
    await kernel.settle();
    expect([left, done]).toEqual([0, [true]]);
  });

  it('is asked again when a schedule comes while it polls', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const { dev } = await kernel.device('eth%d');
    const done: boolean[] = [];
    const napi = k.netif_napi_add(dev, 'rx', 64, () => {
      if (done.length === 0) k.napi_schedule(napi);
      done.push(k.napi_complete_done(napi, 0));
      return 0;
    });
    k.napi_enable(napi);
    k.napi_schedule(napi);
    await kernel.settle();
    expect(done).toEqual([false, true]);
  });

  it('disabled waits until nothing polls, even what never has enough', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const { dev } = await kernel.device('eth%d');
    let polls = 0;
    const napi = k.netif_napi_add(dev, 'rx', 64, () => {
      polls++;
      return 64;
    });
    k.napi_enable(napi);
    expect(() => k.napi_enable(napi)).toThrow('enabled twice');
    expect(() => k.netif_napi_del(napi)).toThrow('while enabled');
    await kernel.run(async () => {
      k.napi_schedule(napi);
      await k.cpu_relax();
      await k.napi_disable(napi);
    });
    const after = polls;
    expect(after).toBeGreaterThan(0);
    await kernel.settle();
    expect([polls, k.napi_schedule(napi)]).toEqual([after, false]);
    await expect(kernel.run(() => k.napi_disable(napi))).rejects.toThrow('not enabled');
  });
});
