/** Any sequence of maps, unmaps, pins and unpins does what a plain list of pages would. */
import { VFIO_DMA_UNMAP_FLAG_ALL } from '@vdpalab/uapi';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { outcome, PAGE, withToy } from './testing/kernel.ts';

const PAGES = 16;

type Step =
  | { readonly kind: 'map' | 'unmap'; readonly at: number; readonly pages: number }
  | { readonly kind: 'pin' | 'unpin'; readonly at: number }
  | { readonly kind: 'all' };

const at = fc.integer({ min: 0, max: PAGES - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('map' as const), at, pages: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('unmap' as const), at, pages: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('pin' as const, 'unpin' as const), at }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'all' as const }) },
);

/** What the container should be. */
class Model {
  mappings: { at: number; pages: number }[] = [];
  /** Pins of each page. */
  readonly pins = new Map<number, number>();

  over(from: number, pages: number): { at: number; pages: number }[] {
    return this.mappings.filter((m) => m.at < from + pages && from < m.at + m.pages);
  }

  map(from: number, pages: number): string {
    if (this.over(from, pages).length > 0) return 'EEXIST';
    this.mappings.push({ at: from, pages });
    return 'ok';
  }

  /** @returns bytes, or the errno */
  unmap(from: number, pages: number): number | string {
    const hit = this.over(from, pages);
    if (hit.some((m) => m.at < from || m.at + m.pages > from + pages)) return 'EINVAL';
    this.mappings = this.mappings.filter((m) => !hit.includes(m));
    for (const m of hit) for (let page = m.at; page < m.at + m.pages; page++) this.pins.delete(page);
    return hit.reduce((sum, m) => sum + m.pages, 0) * PAGE;
  }

  pin(page: number): string {
    if (this.over(page, 1).length === 0) return 'EINVAL';
    this.pins.set(page, (this.pins.get(page) ?? 0) + 1);
    return 'ok';
  }

  unpin(page: number): string {
    const count = this.pins.get(page) ?? 0;
    if (count === 0) return 'EINVAL';
    if (count === 1) this.pins.delete(page);
    else this.pins.set(page, count - 1);
    return 'ok';
  }
}

test('maps, unmaps, pins and unpins agree with a list of pages, and leave nothing', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
    const model = new Model();
    const left = await withToy(({ k }, mine) => ({
      async dma_unmap(_, iova, length) { // gives back whatever it has there
        for (let page = iova / PAGE; page < (iova + length) / PAGE; page++) {
          for (let n = model.pins.get(page) ?? 0; n > 0; n--) await k.vfio_unpin_pages(mine().vdev, page * PAGE, 1);
        }
      },
    }), async (c, { vdev }) => {
      const va = await c.memory(PAGES + 8);
      for (const one of steps) {
        if (one.kind === 'map') {
          expect(await outcome(async () => {
            await c.map(va + one.at * PAGE, BigInt(one.at * PAGE), one.pages);
            return 'ok';
          })).toBe(model.map(one.at, one.pages));
        } else if (one.kind === 'unmap') {
          const got = await outcome(() => c.unmap(BigInt(one.at * PAGE), one.pages)); // asks for pins of the model as it is before
          expect(got).toBe(model.unmap(one.at, one.pages));
        } else if (one.kind === 'all') {
          const got = await outcome(() => c.unmap(0n, 0, VFIO_DMA_UNMAP_FLAG_ALL));
          expect(got).toBe(model.unmap(0, PAGES + 8));
        } else if (one.kind === 'pin') {
          const got = await outcome(async () => (await c.k.vfio_pin_pages(vdev, one.at * PAGE, 1, 3)).length === 1 ? 'ok' : 'none');
          expect(got).toBe(model.pin(one.at));
        } else {
          expect(await outcome(async () => {
            await c.k.vfio_unpin_pages(vdev, one.at * PAGE, 1);
            return 'ok';
          })).toBe(model.unpin(one.at));
        }
        expect(c.proc.mm.locked_vm).toBe(model.pins.size);
      }
      for (const [page, count] of model.pins) for (let n = 0; n < count; n++) await c.k.vfio_unpin_pages(vdev, page * PAGE, 1);
    });
    expect(left).toEqual([]);
  }), { numRuns: 12 });
});
