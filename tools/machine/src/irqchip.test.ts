import { describe, expect, it } from 'vitest';
import { newCounters } from './counters.ts';
import type { Counters } from './counters.ts';
import { FIRST_VECTOR, MessageIrqChip } from './irqchip.ts';
import { DeterministicScheduler } from './sched/scheduler.ts';
import { EventTrace } from './trace.ts';

interface Bench {
  readonly sched: DeterministicScheduler;
  readonly counters: Counters;
  readonly chip: MessageIrqChip;
  readonly fired: number[];
}

function newChip(vectors = 0x1_0000, remapping = true): Bench {
  const sched = new DeterministicScheduler({ seed: 1 });
  const counters = newCounters();
  const chip = new MessageIrqChip(sched, new EventTrace(sched), counters, remapping, vectors);
  const fired: number[] = [];
  chip.onInterrupt = (vector) => void fired.push(vector) as undefined;
  return { sched, counters, chip, fired };
}

describe('MessageIrqChip', () => {
  it('gives vectors from 32 on, whose messages look as on x86', () => {
    const { chip } = newChip();
    expect([chip.allocVector(), chip.allocVector()]).toEqual([32, 33]);
    expect(chip.message(33)).toEqual({ address: 0xfee0_0000, data: 33 });
  });

  it('gives each of 60,000 vectors a message of its own inside the window, which fires it', async () => {
    const { chip, sched, fired } = newChip();
    const seen = new Set<number>();
    let outside = 0;
    for (let i = 0; i < 60_000; i++) {
      const { address, data } = chip.message(chip.allocVector());
      if (address < 0xfee0_0000 || address > 0xfeef_ffff || data < 32 || data > 255) outside++;
      seen.add((address - 0xfee0_0000) * 256 + data);
      if (i % 97 === 0) chip.deliver(0, address, data);
    }
    expect([seen.size, outside]).toEqual([60_000, 0]);
    await sched.run();
    expect(fired.sort((a, b) => a - b)).toEqual(Array.from({ length: 619 }, (_, i) => 32 + i * 97));
  });

  it('runs the handler in atomic context at the gate, once for messages that come before it ran', async () => {
    const { chip, sched, fired, counters } = newChip();
    const vector = chip.allocVector();
    const { address, data } = chip.message(vector);
    chip.onInterrupt = (v) => {
      expect(sched.atomic).toBe(true);
      fired.push(v);
    };
    chip.deliver(0, address, data);
    chip.deliver(0, address, data);
    expect(fired).toEqual([]);
    await sched.run();
    expect(fired).toEqual([vector]);
    expect(counters.interrupts).toBe(2);
    chip.deliver(0, address, data);
    await sched.run();
    expect(fired).toEqual([vector, vector]);
  });

  it('does not fire a vector that was freed before its handler ran, nor its next owner', async () => {
    const { chip, sched, fired } = newChip();
    const vector = chip.allocVector();
    const { address, data } = chip.message(vector);
    chip.deliver(0, address, data);
    chip.freeVector(vector);
    expect(chip.allocVector()).toBe(vector);
    await sched.run();
    expect(fired).toEqual([]);
  });

  it('counts messages for vectors nobody has as spurious', async () => {
    const { chip, sched, fired, counters } = newChip();
    expect(chip.deliver(0, 0xfee0_0000, 32)).toBe('spurious');
    expect(chip.deliver(0, 0xfee0_0000, 5)).toBe('spurious');
    await sched.run();
    expect([fired, counters.spurious, counters.interrupts]).toEqual([[], 2, 0]);
  });

  it('refuses messages of another requester when interrupts are remapped, and only then', () => {
    for (const remapping of [true, false]) {
      const { chip } = newChip(10, remapping);
      const { address, data } = chip.message(chip.allocVector(0x0200));
      expect(chip.deliver(0x0201, address, data)).toBe(remapping ? 'refused' : 'delivered');
      expect(chip.deliver(0x0200, address, data)).toBe('delivered');
    }
  });

  it('is out of space when all vectors are taken, until one is freed', () => {
    const { chip } = newChip(2);
    const first = chip.allocVector();
    chip.allocVector();
    expect(() => chip.allocVector()).toThrow(expect.objectContaining({ errno: 'ENOSPC', rule: 'irqchip.alloc.full' }));
    chip.freeVector(first);
    expect(chip.allocVector()).toBe(FIRST_VECTOR);
    expect(chip.vectors()).toEqual([32, 33]);
  });

  it('knows no message of, and cannot free, a vector that is not reserved', () => {
    const { chip } = newChip();
    const vector = chip.allocVector();
    chip.freeVector(vector);
    expect(() => chip.freeVector(vector)).toThrow(expect.objectContaining({ errno: 'EINVAL' }));
    expect(() => chip.message(vector)).toThrow(expect.objectContaining({ errno: 'EINVAL' }));
  });
});
