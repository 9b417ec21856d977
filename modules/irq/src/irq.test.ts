import { isKernelError } from '@vdpalab/abi';
import type { ErrnoName, TraceEvent } from '@vdpalab/abi';
import type { FsSymbols } from '@vdpalab/fs';
import { createMachine } from '@vdpalab/machine';
import type { HwMachine } from '@vdpalab/machine';
import { bootBuiltins } from '@vdpalab/testing';
import type { BootedKernel } from '@vdpalab/testing';
import { IRQF_NO_AUTOEN, IRQF_SHARED } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import type { IrqSymbols } from './header.ts';

interface TestKernel extends BootedKernel {
  readonly k: BootedKernel['k'] & IrqSymbols & FsSymbols;
  readonly hw: HwMachine;
  readonly trace: TraceEvent[];
  /** The kernel log, `level: text`. */
  readonly lines: string[];
  /** The device of that requester id writes the message of an interrupt. */
  readonly fire: (msi: { address: number; data: number }, rid?: number) => string;
}

async function boot(options: { vectors?: number; iommu?: boolean; trace?: boolean } = {}): Promise<TestKernel> {
  const trace: TraceEvent[] = [];
  const lines: string[] = [];
  const hw = createMachine({
    seed: 1, ramBytes: 16 << 20, iommu: options.iommu ?? false, cmdline: '', release: '6.1.0',
    consoleSink: (line): undefined => void lines.push(`${line.level}: ${line.text}`),
    ...(options.vectors === undefined ? {} : { vectors: options.vectors }),
    ...(options.trace === true ? { traceSink: (event: TraceEvent): undefined => void trace.push(event) } : {}),
  });
  const kernel = await bootBuiltins(['sched', 'mm', 'fs', 'irq'], { machine: hw.machine });
  return { ...kernel, hw, trace, lines, fire: (msi, rid = 0x0700) => hw.irqchip.deliver(rid, msi.address, msi.data) };
}

async function errnoOf(body: () => Promise<void>): Promise<ErrnoName | 'ok'> {
  try {
    await body();
    return 'ok';
  } catch (error) {
    if (isKernelError(error)) return error.errno;
    throw error;
  }
}

test('a handler runs in atomic context with its number and its devId, once for each message', async () => {
  const { k, run, hw, fire } = await boot();
  const log: unknown[] = [];
  await run(async () => {
    const msi = k.irq_alloc_msi('PCI-MSI', 0);
    await k.request_irq(msi.irq, (irq, devId) => {
      log.push([irq, devId, hw.sched.atomic]);
      return 'IRQ_HANDLED';
    }, 0, 'ifcvf', 'me');
    fire(msi);
    await k.cond_resched();
    fire(msi);
    fire(msi); // still pending: one interrupt
    await k.cond_resched();
    expect(log).toEqual([[24, 'me', true], [24, 'me', true]]);
    expect(k.irq_info()).toEqual([{ irq: 24, count: 2, posted: 0, chip: 'PCI-MSI', actions: ['ifcvf'] }]);
    await k.free_irq(msi.irq, 'me');
    k.irq_free_msi(msi.irq);
  });
  expect([k.irq_leftovers(), hw.irqchip.vectors()]).toEqual([[], []]);
});

test('numbers are the lowest free ones from 24, and ENOSPC when the vectors are all taken', async () => {
  const { k, run } = await boot({ vectors: 3 });
  await run(async () => {
    const numbers = [0, 1, 2].map((hwirq) => k.irq_alloc_msi('chip', hwirq).irq);
    expect(numbers).toEqual([24, 25, 26]);
    expect(() => k.irq_alloc_msi('chip', 3)).toThrow('all 3 in use');
    k.irq_free_msi(25);
    expect(k.irq_alloc_msi('chip', 4).irq).toBe(25);
  });
});

test('with remapping, only the device that allocated the vector may fire it', async () => {
  const { k, run, fire } = await boot({ iommu: true });
  await run(async () => {
    const msi = k.irq_alloc_msi('chip', 0, 0x0702);
    expect([fire(msi, 0x0703), fire(msi, 0x0702)]).toEqual(['refused', 'delivered']);
  });
});

test('a second handler is refused unless both share, and sharing needs a devId', async () => {
  const { k, run, lines } = await boot();
  await run(async () => {
    const { irq } = k.irq_alloc_msi('chip', 0);
    const other = k.irq_alloc_msi('chip', 1).irq;
    const request = (n: number, flags: number, devId: unknown): Promise<unknown> =>
      errnoOf(() => k.request_irq(n, () => 'IRQ_HANDLED', flags, `d${String(devId)}`, devId));
    expect([await request(99, 0, 1), await request(irq, IRQF_SHARED, null), await request(irq, 0, 1), await request(irq, 0, 2), await request(irq, IRQF_SHARED, 3)])
      .toEqual(['EINVAL', 'EINVAL', 'ok', 'EBUSY', 'EBUSY']);
    expect([await request(other, IRQF_SHARED, 1), await request(other, IRQF_SHARED, 2), await request(other, 0, 3)]).toEqual(['ok', 'ok', 'EBUSY']);
    expect(k.irq_info().map((info) => info.actions)).toEqual([['d1'], ['d1', 'd2']]);
  });
  expect(lines[0]).toBe('3: genirq: Flags mismatch irq 24. 00000000 (d2) vs. 00000000 (d1)');
});

test('every sharer is asked, and what none of them handles counts as spurious', async () => {
  const { k, run, fire, user } = await boot();
  const log: number[] = [];
  let mine = 2;
  await run(async () => {
    const msi = k.irq_alloc_msi('chip', 0);
    for (const id of [1, 2]) {
      await k.request_irq(msi.irq, () => {
        log.push(id);
        return mine === id ? 'IRQ_HANDLED' : 'IRQ_NONE';
      }, IRQF_SHARED, `d${id}`, id);
    }
    fire(msi);
    await k.cond_resched();
    mine = 0;
    fire(msi);
    await k.cond_resched();
    await k.free_irq(msi.irq, 1);
    fire(msi);
    await k.cond_resched();
  });
  expect(log).toEqual([1, 2, 1, 2, 2]);
  expect(await user(async (proc) => {
    const fd = await k.ksys_open(proc, '/proc/interrupts', 0);
    return String.fromCharCode(...await k.ksys_read(proc, fd, 4096));
  })).toContain('SPU:          2   Spurious interrupts');
});

test('an interrupt that nobody handles, or whose handler is gone, is counted and lost', async () => {
  const { k, run, fire } = await boot();
  const log: string[] = [];
  await run(async () => {
    const msi = k.irq_alloc_msi('chip', 0);
    fire(msi);
    await k.cond_resched();
    await k.request_irq(msi.irq, () => {
      log.push('late');
      return 'IRQ_HANDLED';
    }, 0, 'd', null);
    await k.cond_resched();
    await k.free_irq(msi.irq, null);
    fire(msi);
    await k.cond_resched();
    expect(k.irq_info()).toMatchObject([{ count: 0, actions: [] }]);
    k.irq_free_msi(msi.irq);
    expect(fire(msi)).toBe('spurious');
  });
  expect(log).toEqual([]);
});

test('while disabled interrupts wait; the last enable delivers one, in atomic context', async () => {
  const { k, run, fire, hw } = await boot();
  const log: boolean[] = [];
  await run(async () => {
    const msi = k.irq_alloc_msi('chip', 0);
    await k.request_irq(msi.irq, () => {
      log.push(hw.sched.atomic);
      return 'IRQ_HANDLED';
    }, 0, 'd', null);
    await k.disable_irq(msi.irq);
    await k.disable_irq(msi.irq);
    fire(msi);
    await k.cond_resched();
    fire(msi);
    await k.cond_resched();
    k.enable_irq(msi.irq);
    await k.cond_resched();
    expect(log).toEqual([]);
    k.enable_irq(msi.irq);
    expect(log).toEqual([]); // not inside enable_irq
    await k.cond_resched();
    expect(log).toEqual([true]);
    expect(() => k.enable_irq(msi.irq)).toThrow('unbalanced enable');
  });
});

test('a second sharer does not enable what the first one has disabled', async () => {
  const { k, run, fire } = await boot();
  const log: number[] = [];
  await run(async () => {
    const msi = k.irq_alloc_msi('chip', 0);
    const share = (id: number): Promise<void> => k.request_irq(msi.irq, () => {
      log.push(id);
      return 'IRQ_HANDLED';
    }, IRQF_SHARED, `d${id}`, id);
    await share(1);
    await k.disable_irq(msi.irq);
    fire(msi);
    await k.cond_resched();
    await share(2);
    expect(log).toEqual([]);
    k.enable_irq(msi.irq);
    await k.cond_resched();
  });
  expect(log).toEqual([1, 2]);
});

test('IRQF_NO_AUTOEN leaves the interrupt disabled until it is enabled', async () => {
  const { k, run, fire } = await boot();
  let count = 0;
  await run(async () => {
    const msi = k.irq_alloc_msi('chip', 0);
    await k.request_irq(msi.irq, () => {
      count++;
      return 'IRQ_HANDLED';
    }, IRQF_NO_AUTOEN, 'd', null);
    fire(msi);
    await k.cond_resched();
    expect(count).toBe(0);
    k.enable_irq(msi.irq);
    await k.cond_resched();
    expect(count).toBe(1);
  });
});

test('a posted interrupt goes to the virtual CPU and past the handler, in the trace too, until posting stops', async () => {
  const { k, run, fire, trace } = await boot({ trace: true });
  const log: string[] = [];
  await run(async () => {
    const msi = k.irq_alloc_msi('chip', 0);
    await k.request_irq(msi.irq, () => {
      log.push('host');
      return 'IRQ_HANDLED';
    }, 0, 'd', null);
    k.irq_set_vcpu_affinity(msi.irq, { post: (): undefined => void log.push('vcpu') });
    expect(() => k.irq_free_msi(msi.irq)).toThrow('freed while d handles it');
    fire(msi);
    await k.cond_resched();
    k.irq_set_vcpu_affinity(msi.irq, null);
    fire(msi);
    await k.cond_resched();
    expect(k.irq_info()).toMatchObject([{ count: 1, posted: 1 }]);
    expect(() => k.irq_set_vcpu_affinity(99, null)).toThrow('not allocated');
  });
  expect(log).toEqual(['vcpu', 'host']);
  const seen = trace.filter((event) => event.type === 'interrupt' || event.type.startsWith('irq_'));
  expect(seen.map((event) => event.type)).toEqual(['interrupt', 'irq_posted', 'interrupt', 'irq_handler']);
  expect(seen.map((event) => event.cause).slice(1)).toEqual([seen[0]?.id, expect.anything(), seen[2]?.id]);
});

test('mistakes with interrupts are errors of the lab', async () => {
  const { k, run } = await boot();
  await run(async () => {
    const { irq } = k.irq_alloc_msi('chip', 0);
    await k.request_irq(irq, () => 'IRQ_HANDLED', 0, 'd', 'a');
    await expect(k.free_irq(irq, 'b')).rejects.toThrow('already-free');
    expect(() => k.irq_free_msi(irq)).toThrow('freed while d handles it');
    expect(k.irq_leftovers()).toEqual(['irq 24: chip 0 allocated', 'irq 24: handler d']);
  });
});

test('an interrupt that hardly anybody ever handles is switched off', async () => {
  const { k, run, hw, lines } = await boot();
  let handled = 0;
  await run(async () => {
    const msi = k.irq_alloc_msi('chip', 0);
    await k.request_irq(msi.irq, () => {
      handled++;
      return 'IRQ_NONE';
    }, 0, 'd', null);
    const vector = hw.irqchip.vectors()[0] ?? -1;
    for (let i = 0; i < 100_010; i++) hw.machine.irq.onInterrupt?.(vector);
  });
  expect(handled).toBe(100_000);
  expect(lines).toEqual(['3: irq 24: nobody cared (try booting with the "irqpoll" option)', '0: Disabling IRQ #24']);
});

test('/proc/interrupts has Linux\'s columns', async () => {
  const { k, run, fire, user } = await boot();
  await run(async () => {
    for (const [chip, hwirq, name] of [['PCI-MSI', 3674112, 'ifcvf[0000:07:00.2]-0'], ['PCI-MSI', 1, 'eth0']] as const) {
      const msi = k.irq_alloc_msi(chip, hwirq);
      await k.request_irq(msi.irq, () => 'IRQ_HANDLED', IRQF_SHARED, name, name);
      if (hwirq === 1) await k.request_irq(msi.irq, () => 'IRQ_HANDLED', IRQF_SHARED, 'eth0-cfg', 'other');
      fire(msi);
      await k.cond_resched();
    }
    k.irq_alloc_msi('PCI-MSI', 2); // nobody has it, and it never fired: no line
  });
  const text = await user(async (proc) => {
    const fd = await k.ksys_open(proc, '/proc/interrupts', 0);
    return String.fromCharCode(...await k.ksys_read(proc, fd, 4096));
  });
  expect(text.split('\n')).toEqual([
    '           CPU0       ',
    ' 24:          1   PCI-MSI 3674112-edge      ifcvf[0000:07:00.2]-0',
    ' 25:          1   PCI-MSI   1-edge      eth0, eth0-cfg',
    'SPU:          0   Spurious interrupts',
    'ERR:          0',
    'PIN:          0   Posted-interrupt notification event',
    '',
  ]);
});
