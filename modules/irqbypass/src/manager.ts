/** Matches producers with consumers. Mirrors `virt/lib/irqbypass.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { SchedSymbols } from '@vdpalab/sched';
import type { IrqBypassConsumer, IrqBypassProducer, IrqBypassSymbols } from './header.ts';

/** Stop both sides, make the change, start both sides again: nothing may be delivered half-way. */
async function quiesced(producer: IrqBypassProducer, consumer: IrqBypassConsumer, change: () => Promise<void>): Promise<void> {
  await producer.stop?.();
  await consumer.stop?.();
  try {
    await change();
  } finally {
    await consumer.start?.();
    await producer.start?.();
  }
}

/** Consumer first, then producer; a consumer that refuses leaves the producer untouched, and the other way round. */
async function connect(producer: IrqBypassProducer, consumer: IrqBypassConsumer): Promise<void> {
  await quiesced(producer, consumer, async () => {
    await producer.add_consumer?.(consumer);
    try {
      await consumer.add_producer(producer);
    } catch (error) {
      await producer.del_consumer?.(consumer);
      throw error;
    }
  });
}

async function disconnect(producer: IrqBypassProducer, consumer: IrqBypassConsumer): Promise<void> {
  await quiesced(producer, consumer, async () => {
    await consumer.del_producer(producer);
    await producer.del_consumer?.(consumer);
  });
}

/** One side that can register: what is common to producers and consumers. */
interface Side {
  token: unknown;
}

/** @throws EINVAL without a token; EBUSY when the token or the object is taken on this side */
function checkNew<T extends Side>(side: T, list: ReadonlySet<T>, what: string): void {
  if (side.token === null || side.token === undefined) throw new KernelError('EINVAL', 'irqbypass.token', `${what} has no token`);
  for (const other of list) {
    if (other === side || other.token === side.token) throw new KernelError('EBUSY', 'irqbypass.duplicate', `the token has a ${what} already`);
  }
}

/** A manager with nobody registered. */
export function createManager(k: Pick<SchedSymbols, 'mutex_init' | 'mutex_lock' | 'mutex_unlock'>): IrqBypassSymbols & { idle: () => boolean } {
  const lock = k.mutex_init('irqbypass lock');
  const producers = new Set<IrqBypassProducer>();
  const consumers = new Set<IrqBypassConsumer>();

  async function locked(body: () => Promise<void>): Promise<void> {
    await k.mutex_lock(lock);
    try {
      await body();
    } finally {
      k.mutex_unlock(lock);
    }
  }

  const peer = <T extends Side>(list: ReadonlySet<T>, token: unknown): T | undefined => [...list].find((s) => s.token === token);

  return {
    idle: () => producers.size === 0 && consumers.size === 0,

    irq_bypass_register_producer: (producer) => locked(async () => {
      checkNew(producer, producers, 'producer');
      const consumer = peer(consumers, producer.token);
      if (consumer !== undefined) await connect(producer, consumer);
      producers.add(producer);
    }),

    irq_bypass_unregister_producer: (producer) => locked(async () => {
      if (!producers.has(producer)) return; // registering it failed, or never happened
      const consumer = peer(consumers, producer.token);
      if (consumer !== undefined) await disconnect(producer, consumer);
      producers.delete(producer);
    }),

    irq_bypass_register_consumer: (consumer) => locked(async () => {
      checkNew(consumer, consumers, 'consumer');
      const producer = peer(producers, consumer.token);
      if (producer !== undefined) await connect(producer, consumer);
      consumers.add(consumer);
    }),

    irq_bypass_unregister_consumer: (consumer) => locked(async () => {
      if (!consumers.has(consumer)) return;
      const producer = peer(producers, consumer.token);
      if (producer !== undefined) await disconnect(producer, consumer);
      consumers.delete(consumer);
    }),
  };
}
