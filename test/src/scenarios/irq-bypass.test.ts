import type { TraceEvent } from '@vdpalab/abi';
import { covers } from '@vdpalab/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drain, FakeVcpu, hexOf, sessionFrames, startPair, type Pair } from '../support/index.ts';

/** Requester id of virtual function 1: 07:00.3. */
const RID = 0x703;

/** A virtual CPU for the receive queue of `b`. */
const vcpuOf = ({ world, b }: Pair): Promise<FakeVcpu> => FakeVcpu.create(world, b.process, b.net.calls.rx);

/** Of the receive queue's interrupt at virtual function 1. */
const rxIrq = async ({ world }: Pair) => {
  const infos = await world.lab.kernel(async () => world.lab.symbol('irq_info')());
  return infos.find((i) => i.actions.some((name) => name === `ifcvf[${world.vf(1)}]-0`)) ?? null;
};

describe('an interrupt that bypasses the host', () => {
  it('is posted while both sides know the eventfd, without a step of the host, and relayed again when one side goes', async () => {
    covers('1.1.14', '1.1.15', '1.9.12');
    const events: TraceEvent[] = [];
    const pair = await startPair({ traceSink: (event): undefined => void events.push(event) as undefined });
    const { world, b } = pair;
    const { lab } = world;
    const vcpu = await vcpuOf(pair);
    const frames = sessionFrames().filter((f) => f.length <= 1514).slice(0, 8);
    const irq = (await rxIrq(pair))?.irq;
    const handled = (): number => events.filter((e) => e.type === 'irq_handler' && e.fields['irq'] === irq).length;
    const passOne = async (i: number) => expect(hexOf((await pair.oneByOne([frames[i] as Uint8Array])).flat())).toEqual(hexOf([frames[i] as Uint8Array]));

    await passOne(0);
    expect([await rxIrq(pair), vcpu.taken, handled()]).toMatchObject([{ count: 1, posted: 0 }, 0, 1]);

    await lab.kernel(() => vcpu.attach());
    events.length = 0;
    for (const i of [1, 2, 3]) await passOne(i);
    expect([await rxIrq(pair), vcpu.taken, handled()]).toMatchObject([{ count: 1, posted: 3 }, 3, 0]);
    const posted = events.filter((e) => e.type === 'irq_posted' && e.fields['irq'] === irq);
    expect(posted).toHaveLength(3);
    // From the device over the interrupt its driver reported to the guest: each step the cause of the next.
    const causeOf = (event: TraceEvent | undefined) => events.find((e) => e.id === event?.cause);
    for (const guest of events.filter((e) => e.type === 'guest_interrupt')) {
      expect([guest, causeOf(guest), causeOf(causeOf(guest))].map((e) => e?.type)).toEqual(['guest_interrupt', 'irq_posted', 'interrupt']);
    }
    expect(events.filter((e) => e.type === 'guest_interrupt').map((e) => e.cause)).toEqual(posted.map((e) => e.id));

    await lab.kernel(() => vcpu.detach()); // the consumer goes
    await passOne(4);
    expect([await rxIrq(pair), vcpu.taken]).toMatchObject([{ count: 2, posted: 3 }, 3]);

    await lab.kernel(() => vcpu.attach());
    const other = await lab.as(b.process, async (p) => {
      const fd = p.eventfd();
      await b.net.file.setVringCall(0, fd); // the producer goes: another eventfd
      return fd;
    });
    await passOne(5);
    expect([await rxIrq(pair), vcpu.taken]).toMatchObject([{ count: 3, posted: 3 }, 3]);
    expect(await lab.as(b.process, (p) => p.read(other, 8))).toEqual(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));

    expect(vcpu.log).toEqual(['on', 'off', 'on', 'off']);
    expect(world.hardware(1).counters.interrupts).toBe(3 + 3);
    await lab.kernel(() => vcpu.detach());
    await vcpu.release();
    expect(await pair.close()).toEqual([]);
  });

  it('has a producer from DRIVER_OK on, until the eventfd changes, the status is cleared or the file is closed', async () => {
    covers('2.4.35');
    const pair = await startPair();
    const { world, b } = pair;
    const { lab } = world;
    const vcpu = await vcpuOf(pair);
    const { file, calls } = b.net;
    const log = (): string[] => vcpu.log.splice(0);
    await lab.kernel(() => vcpu.attach());
    expect(log()).toEqual(['on']);
    await lab.as(b.process, () => file.setVringCall(0, -1));
    expect(log()).toEqual(['off']);
    await lab.as(b.process, () => file.setVringCall(0, calls.rx));
    expect(log()).toEqual(['on']);
    await lab.as(b.process, () => file.setStatus(0));
    expect(log()).toEqual(['off']);
    await lab.as(b.process, () => file.setVringCall(0, calls.rx)); // no interrupt before DRIVER_OK
    expect(log()).toEqual([]);
    await lab.as(b.process, async () => {
      for (const status of [1, 3, 11, 15]) await file.setStatus(status);
    });
    expect(log()).toEqual(['on']);
    await lab.as(b.process, (p) => p.close(file.fd));
    expect(log()).toEqual(['off']);
    expect(await lab.kernel(async () => lab.symbol('irq_leftovers')().filter((l) => l.includes(world.vf(1))))).toEqual([]);
    await lab.kernel(() => vcpu.detach());
    await vcpu.release();
    await lab.exitProcess(b.process);
    await lab.as(pair.a.process, () => pair.a.net.stop());
    await lab.exitProcess(pair.a.process);
    expect(await world.close()).toEqual([]);
  });

  it('switched on and off at any moment loses none: what the host handled and what was posted are all there were', async () => {
    covers('F6');
    const frames = sessionFrames().filter((f) => f.length <= 1514).slice(0, 24);
    const pauses = fc.array(fc.nat(40), { minLength: 2, maxLength: 12 });
    const totals = { handled: 0, posted: 0 };
    await fc.assert(fc.asyncProperty(fc.nat(0x7fff_ffff), pauses, async (seed, waits) => {
      let arrived = 0;
      const pair = await startPair({ seed, traceSink: ({ type, fields }): undefined => {
        // A message that finds its vector pending merges into it, as in a real interrupt controller.
        if (type === 'interrupt' && fields['rid'] === RID && fields['merged'] === false) arrived++;
      } });
      const { world, a } = pair;
      const { lab } = world;
      const vcpu = await vcpuOf(pair);
      const toggler = await lab.process('toggler');
      // Started together: nothing runs before the receiver below does.
      lab.start(a.process, 'sender', async () => {
        for (const frame of frames) {
          await a.net.send(frame);
          await lab.symbol('cpu_relax')();
        }
      });
      lab.start(toggler, 'toggler', async () => {
        for (const [i, n] of waits.entries()) {
          for (let k = 0; k < n; k++) await lab.symbol('cpu_relax')();
          await (i % 2 === 0 ? vcpu.attach() : vcpu.detach());
        }
        if (waits.length % 2 === 1) await vcpu.detach();
      });
      const got = await drain(world, pair.b);
      expect(hexOf(got)).toEqual(hexOf(frames));
      const info = await rxIrq(pair);
      if (info === null) throw new Error('the receive queue has no interrupt');
      expect(info.posted).toBe(vcpu.taken);
      expect(info.count + info.posted).toBe(arrived);
      expect(lab.hw.counters.spurious).toBe(0);
      totals.handled += info.count;
      totals.posted += info.posted;
      await lab.exitProcess(toggler);
      await vcpu.release();
      expect(await pair.close()).toEqual([]);
    }), { numRuns: 15 });
    expect(Math.min(totals.handled, totals.posted)).toBeGreaterThan(0);
  }, 60_000);
});
