import { isKernelError, KernelError } from '@vdpalab/abi';
import { covers } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import type { IrqBypassConsumer, IrqBypassProducer } from './header.ts';
import { createManager } from './manager.ts';

/** No task ever contends here, so the lock need not exclude anybody. */
const k: Parameters<typeof createManager>[0] = {
  mutex_init: (name) => ({ name, owner: null, queue: { name, waiters: new Set(), watchers: new Set() } }),
  mutex_lock: async () => {},
  mutex_unlock: () => undefined,
};

function sides(token: unknown, log: string[], refuse: 'add_consumer' | 'add_producer' | null = null) {
  const step = (who: string, what: string) => async () => {
    log.push(`${who} ${what}`);
    if (what === refuse) throw new KernelError('EINVAL', 'test', 'refused');
  };
  const producer: IrqBypassProducer = {
    token, irq: 33, stop: step('p', 'stop'), start: step('p', 'start'),
    add_consumer: step('p', 'add_consumer'), del_consumer: step('p', 'del_consumer'),
  };
  const consumer: IrqBypassConsumer = {
    token, stop: step('c', 'stop'), start: step('c', 'start'),
    add_producer: step('c', 'add_producer'), del_producer: step('c', 'del_producer'),
  };
  return { producer, consumer };
}

async function errnoOf(promise: Promise<void>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (isKernelError(error)) return error.errno;
    throw error;
  }
  return 'none';
}

describe('the IRQ bypass manager', () => {
  it('refuses a missing token and a second holder of one; a match stops both sides, adds, starts', async () => {
    covers('2.4.36');
    const m = createManager(k);
    const log: string[] = [];
    const { producer, consumer } = sides({}, log);
    expect(await errnoOf(m.irq_bypass_register_producer({ ...producer, token: null }))).toBe('EINVAL');
    await m.irq_bypass_register_producer(producer);
    expect(await errnoOf(m.irq_bypass_register_producer({ ...producer }))).toBe('EBUSY');
    expect(log).toEqual([]);
    await m.irq_bypass_register_consumer(consumer);
    expect(log).toEqual(['p stop', 'c stop', 'p add_consumer', 'c add_producer', 'c start', 'p start']);
    log.length = 0;
    await m.irq_bypass_unregister_producer(producer);
    expect(log).toEqual(['p stop', 'c stop', 'c del_producer', 'p del_consumer', 'c start', 'p start']);
    await m.irq_bypass_unregister_consumer(consumer);
    expect(m.idle()).toBe(true);
  });

  it.each([
    ['add_producer', ['p stop', 'c stop', 'p add_consumer', 'c add_producer', 'p del_consumer', 'c start', 'p start']],
    ['add_consumer', ['p stop', 'c stop', 'p add_consumer', 'c start', 'p start']],
  ] as const)('leaves the relay path as it was when %s is refused', async (refuse, expected) => {
    const m = createManager(k);
    const log: string[] = [];
    const { producer, consumer } = sides({}, log, refuse);
    await m.irq_bypass_register_consumer(consumer);
    expect(await errnoOf(m.irq_bypass_register_producer(producer))).toBe('EINVAL');
    expect(log).toEqual(expected);
    await m.irq_bypass_unregister_producer(producer);
    await m.irq_bypass_unregister_consumer(consumer);
    expect(m.idle()).toBe(true);
  });

  it('does not connect sides with different tokens', async () => {
    const m = createManager(k);
    const log: string[] = [];
    await m.irq_bypass_register_producer(sides({}, log).producer);
    await m.irq_bypass_register_consumer(sides({}, log).consumer);
    expect(log).toEqual([]);
  });
});
