import { isKernelError } from '@vdpalab/abi';
import { covers } from '@vdpalab/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { VhostIotlb, VhostIotlbMap } from './header.ts';
import {
  vhost_iotlb_add_range, vhost_iotlb_add_range_ctx, vhost_iotlb_alloc, vhost_iotlb_del_range, vhost_iotlb_itree_first,
  vhost_iotlb_itree_next, vhost_iotlb_map_free, vhost_iotlb_reset,
} from './iotlb.ts';

const ALL = (1n << 64n) - 1n;

function overlaps(iotlb: VhostIotlb, start: bigint, last: bigint): VhostIotlbMap[] {
  const found: VhostIotlbMap[] = [];
  for (let m = vhost_iotlb_itree_first(iotlb, start, last); m !== null; m = vhost_iotlb_itree_next(iotlb, m, start, last)) found.push(m);
  return found;
}

const errnoOf = (body: () => unknown): string => {
  try {
    body();
  } catch (error) {
    if (isKernelError(error)) return error.errno;
    throw error;
  }
  return 'none';
};

describe('an IOTLB', () => {
  it('refuses a range that ends before it starts, and more entries than its limit', () => {
    covers('2.5.10');
    const t = vhost_iotlb_alloc(2, 0);
    expect(errnoOf(() => vhost_iotlb_add_range(t, 5n, 4n, 0n, 3))).toBe('EFAULT');
    vhost_iotlb_add_range(t, 0n, 9n, 100n, 3);
    vhost_iotlb_add_range(t, 10n, 19n, 200n, 3);
    expect(errnoOf(() => vhost_iotlb_add_range(t, 20n, 29n, 300n, 3))).toBe('ENOSPC');
    expect(t.nmaps).toBe(2);
    const retiring = vhost_iotlb_alloc(2, 1);
    for (const start of [0n, 10n, 20n]) vhost_iotlb_add_range(retiring, start, start + 9n, start, 3);
    expect(overlaps(retiring, 0n, ALL).map((m) => m.start)).toEqual([10n, 20n]);
    const whole = vhost_iotlb_alloc(0, 0);
    vhost_iotlb_add_range(whole, 0n, ALL, 0x1000n, 1);
    expect(overlaps(whole, 0n, ALL)).toMatchObject([
      { start: 0n, last: ALL / 2n, addr: 0x1000n }, { start: ALL / 2n + 1n, last: ALL, addr: 0x1000n + ALL / 2n + 1n },
    ]);
  });

  it('takes neither half of the full range when only one fits', () => {
    const t = vhost_iotlb_alloc(1, 0);
    expect(errnoOf(() => vhost_iotlb_add_range(t, 0n, ALL, 0n, 3))).toBe('ENOSPC');
    expect(t.nmaps).toBe(0);
  });

  it('keeps what a caller hangs on an entry', () => {
    const t = vhost_iotlb_alloc(0, 0);
    const opaque = { file: 1 };
    vhost_iotlb_add_range_ctx(t, 0n, 9n, 0n, 3, opaque);
    expect(vhost_iotlb_itree_first(t, 3n, 3n)?.opaque).toBe(opaque);
  });

  it('counts a generation with every change', () => {
    const t = vhost_iotlb_alloc(0, 0);
    vhost_iotlb_add_range(t, 0n, 9n, 0n, 3);
    vhost_iotlb_del_range(t, 5n, 5n);
    vhost_iotlb_del_range(t, 5n, 5n);
    vhost_iotlb_reset(t);
    expect(t.generation).toBe(3);
  });

  it('finds what a plain list finds, in order of start, through any history', () => {
    const bound = fc.bigInt({ min: 0n, max: 64n });
    const step = fc.oneof(
      fc.record({ op: fc.constant('add' as const), a: bound, b: bound }),
      fc.record({ op: fc.constant('del' as const), a: bound, b: bound }),
      fc.record({ op: fc.constant('free' as const), a: bound, b: bound }),
    );
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), bound, bound, (steps, qa, qb) => {
      const t = vhost_iotlb_alloc(0, 0);
      let model: { start: bigint; last: bigint; n: number }[] = [];
      steps.forEach(({ op, a, b }, n) => {
        const [start, last] = a <= b ? [a, b] : [b, a];
        if (op === 'add') {
          vhost_iotlb_add_range(t, start, last, BigInt(n), 3);
          model.push({ start, last, n });
        } else if (op === 'del') {
          vhost_iotlb_del_range(t, start, last);
          model = model.filter((m) => m.last < start || m.start > last);
        } else {
          const first = vhost_iotlb_itree_first(t, start, last);
          if (first !== null) {
            vhost_iotlb_map_free(t, first);
            model = model.filter((m) => BigInt(m.n) !== first.addr);
          }
        }
      });
      const [qs, ql] = qa <= qb ? [qa, qb] : [qb, qa];
      const expected = model.filter((m) => m.start <= ql && m.last >= qs)
        .sort((x, y) => (x.start === y.start ? x.n - y.n : x.start < y.start ? -1 : 1));
      expect(overlaps(t, qs, ql).map((m) => m.addr)).toEqual(expected.map((m) => BigInt(m.n)));
      expect(t.nmaps).toBe(model.length);
    }));
  });
});
