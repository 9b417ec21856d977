import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DeterministicScheduler } from './scheduler.ts';
import { TimerQueue } from './timers.ts';
import type { Timer } from './timers.ts';

describe('TimerQueue', () => {
  it('gives timers by time and order of arming, whatever is disarmed in between', () => {
    const step = fc.oneof(
      fc.record({ op: fc.constant('arm' as const), at: fc.integer({ min: 0, max: 1000 }) }),
      fc.record({ op: fc.constant('disarm' as const), which: fc.nat() }),
      fc.record({ op: fc.constant('pop' as const) }),
    );
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { maxLength: 40, size: 'max' }), fc.array(step, { maxLength: 80, size: 'max' }), (first, later) => {
        const queue = new TimerQueue();
        let model: { timer: Timer; order: number }[] = [];
        let order = 0;
        const sorted = (): typeof model => [...model].sort((a, b) => a.timer.at - b.timer.at || a.order - b.order);
        for (const s of [...first.map((at) => ({ op: 'arm' as const, at })), ...later]) {
          if (s.op === 'arm') {
            model.push({ timer: queue.arm('t', s.at, () => undefined, 0), order: order++ });
          } else if (s.op === 'disarm' && model.length > 0) {
            const victim = model[s.which % model.length]!;
            expect(victim.timer.cancel()).toBe(true);
            expect(victim.timer.cancel()).toBe(false);
            model = model.filter((m) => m !== victim);
          } else if (s.op === 'pop' && model.length > 0) {
            const first = sorted()[0]!;
            expect(queue.pop()).toBe(first.timer);
            expect(first.timer.pending).toBe(false);
            model = model.filter((m) => m !== first);
          }
          expect(queue.size).toBe(model.length);
          expect(queue.nextAt).toBe(sorted()[0]?.timer.at ?? Infinity);
        }
        expect(queue.all()).toEqual(sorted().map((m) => m.timer));
        expect(model.every((m) => m.timer.pending)).toBe(true);
        const rest: Timer[] = [];
        while (queue.size > 0) rest.push(queue.pop());
        expect(rest).toEqual(sorted().map((m) => m.timer));
      }),
    );
  });
});

it('leaves timers behind the horizon alone', async () => {
  const sched = new DeterministicScheduler({ seed: 1 });
  const fired: string[] = [];
  const arm = (name: string, ns: number): void => void sched.timer(name, ns, () => void fired.push(name));
  arm('near', 10);
  arm('far', 1000);
  await sched.run(undefined, () => 100);
  expect([fired, sched.now]).toEqual([['near'], 10]);
  await sched.run();
  expect([fired, sched.now]).toEqual([['near', 'far'], 1000]);
});
