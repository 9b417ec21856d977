import { describe, expect, it } from 'vitest';
import { bootNet } from './testing/kernel.ts';

describe('a frame', () => {
  it('lies in pages behind its headroom, and gives back what was stored', async () => {
    const { k } = await bootNet();
    const bytes = Uint8Array.from({ length: 9000 }, (_, i) => i);
    const skb = k.alloc_skb(9000, 100);
    expect([skb.len, skb.headroom, skb.frags.map(({ len }) => len), skb.frags[0]!.pa % 4096]).toEqual([9000, 100, [3996, 4096, 908], 100]);
    k.skb_store_bits(skb, bytes);
    expect(k.skb_copy_bits(skb)).toEqual(bytes);
    k.skb_store_bits(skb, Uint8Array.of(9, 9));
    expect(k.skb_copy_bits(skb).slice(0, 3)).toEqual(Uint8Array.of(9, 9, 2));
    expect(() => k.skb_store_bits(skb, new Uint8Array(9001))).toThrow(RangeError);
    expect(k.netdev_leftovers()).toEqual(['1 network frames']);
    k.kfree_skb(skb);
    expect(k.netdev_leftovers()).toEqual([]);
  });

  it('takes the pages of the frame before it, without the page allocator', async () => {
    let calls = 0;
    const { k } = await bootNet({
      wrap: (symbol, value, importer) => (importer !== 'netdev' || symbol !== 'alloc_pages' ? value : (pages: number) => {
        calls++;
        return (value as (pages: number) => unknown)(pages);
      }),
    });
    for (let i = 0; i < 100; i++) k.kfree_skb(k.alloc_skb(1514, 16));
    expect(calls).toBe(1);
    const pa = k.alloc_skb(60, 0).frags[0]!.pa;
    expect(k.alloc_skb(60, 0).frags[0]!.pa).not.toBe(pa);
  });

  it('of pages given away frees them, with the room in front of its first bytes', async () => {
    const { k } = await bootNet();
    const free = k.nr_free_pages();
    const runs = [k.alloc_pages(1), k.alloc_pages(2)];
    const skb = k.build_skb(runs, [{ pa: runs[0]!.pa + 12, len: 100 }, { pa: runs[1]!.pa, len: 5000 }]);
    expect([skb.len, skb.headroom]).toEqual([5100, 12]);
    k.kfree_skb(skb);
    expect(k.nr_free_pages()).toBe(free);
  });

  it('is not freed twice, nor used after', async () => {
    const { k } = await bootNet();
    const skb = k.alloc_skb(60, 0);
    k.kfree_skb(skb);
    expect(() => k.kfree_skb(skb)).toThrow('after it was freed');
    expect(() => k.skb_copy_bits(skb)).toThrow('after it was freed');
    expect(() => k.kfree_skb({ ...skb })).toThrow('not a frame');
    expect(() => k.alloc_skb(60, 4096)).toThrow(RangeError);
  });

  it('holds nothing when memory is short', async () => {
    const { k } = await bootNet();
    const free = k.nr_free_pages();
    expect(() => k.alloc_skb((free + 1) * 4096, 0)).toThrow(expect.objectContaining({ errno: 'ENOMEM' }) as Error);
    expect(k.netdev_leftovers()).toEqual([]);
  });
});

describe('pages kept for frames', () => {
  it('go back with the last interface, and with the last frame after it', async () => {
    const kernel = await bootNet();
    const { k } = kernel;
    const free = k.nr_free_pages();
    const { dev } = await kernel.device('eth%d');
    const skb = k.alloc_skb(60, 0);
    k.kfree_skb(k.alloc_skb(60, 0));
    await kernel.run(() => k.unregister_netdev(dev));
    k.kfree_skb(skb);
    k.free_netdev(dev);
    expect(k.nr_free_pages()).toBe(free);
    expect(kernel.leftovers()).toEqual([]);
  });
});
