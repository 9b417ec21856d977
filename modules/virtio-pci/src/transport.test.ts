import { covers, transportChecks } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { bootVirtioPci } from './testing/bench.ts';
import type { BenchOptions } from './testing/bench.ts';

/** Every way a function is driven. */
const ways: readonly (readonly [string, BenchOptions])[] = [
  ['modern, behind the IOMMU, a vector for each queue', { at: '07:00.0' }],
  ['modern, past the IOMMU', {}],
  ['modern, a page for each doorbell', { at: '07:00.0', function: { page_per_vq: true } }],
  ['modern, packed rings', { at: '07:00.0', function: { packed: true } }],
  ['modern, all doorbells in one port', { function: { modern_pio_notify: true } }],
  ['modern, one vector for all queues', { at: '07:00.0', function: { vectors: 2 } }],
  ['modern, by its pin', { at: '07:00.0', function: { vectors: 0 } }],
  ['legacy, a vector for each queue', { forceLegacy: true }],
  ['legacy, one vector for all queues', { forceLegacy: true, function: { vectors: 2 } }],
  ['legacy, by its pin', { forceLegacy: true, function: { vectors: 0 } }],
  ['without a modern interface', { function: { disable_modern: true } }],
];

describe.each(ways)('a function driven %s', (_, options) => {
  it.each(transportChecks)('$name', async (check) => {
    covers('2.7.1', '2.7.2');
    const b = await bootVirtioPci(options);
    expect(b.bound()).toBe(true);
    await check.run(b.transport);
    await b.run(() => b.rmmod('virtio_pci'));
    expect(b.leftovers()).toEqual([]);
    expect(b.k.iommu_faults()).toEqual([]);
  });
});
