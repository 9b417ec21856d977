import { KernelError } from '@vdpalab/abi';
import { covers, errnoOfSync } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import {
  VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_IN_ORDER, VIRTIO_F_ORDER_PLATFORM, VIRTIO_F_RING_PACKED, VIRTIO_F_VERSION_1, VIRTIO_NET_F_MAC,
  VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
} from '@vdpalab/uapi';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Virtqueue } from './header.ts';
import { bits, bootRing, serve, usual } from './testing/bench.ts';
import type { Bench } from './testing/bench.ts';

let b: Bench;
let vq: Virtqueue;
beforeEach(async () => {
  b = await bootRing();
  vq = b.create();
});

describe('a buffer', () => {
  it('goes to the device, comes back with the length written, and is mapped only meanwhile', () => {
    covers('2.7.5', '2.7.8');
    const device = b.device(vq);
    const [out, into] = [b.page(), b.page()];
    const idle = b.k.dma_mappings(b.dev).length;
    b.k.virtqueue_add_sgs(vq, [{ ...out, len: 100 }], [into], 'a');
    expect(b.k.dma_mappings(b.dev).slice(idle).map((m) => m.size)).toEqual([100, 4096]);
    expect(vq.num_free).toBe(6);
    expect(b.k.virtqueue_get_buf(vq)).toBeNull();
    expect(serve(device, 7)).toEqual({ segments: 2, lengths: [100, 4096] });
    expect(b.k.virtqueue_get_buf(vq)).toEqual({ data: 'a', len: 7 });
    expect(b.k.dma_mappings(b.dev)).toHaveLength(idle);
    expect(vq.num_free).toBe(8);
  });

  it('that the device never used is taken back after a reset, unmapped', () => {
    covers('2.7.5');
    const idle = b.k.dma_mappings(b.dev).length;
    b.k.virtqueue_add_sgs(vq, [], [b.page()], 'a');
    b.k.virtqueue_add_sgs(vq, [], [b.page()], 'b');
    expect([b.k.virtqueue_detach_unused_buf(vq), b.k.virtqueue_detach_unused_buf(vq), b.k.virtqueue_detach_unused_buf(vq)]).toEqual(['a', 'b', undefined]);
    expect(b.k.dma_mappings(b.dev)).toHaveLength(idle);
    expect(vq.num_free).toBe(8);
  });

  it('that finds the ring full is refused; the device is told when it has something to read', () => {
    covers('2.7.5');
    const page = b.page();
    for (let i = 0; i < 8; i++) b.k.virtqueue_add_sgs(vq, [], [page], i);
    const mapped = b.k.dma_mappings(b.dev).length;
    expect(errnoOfSync(() => b.k.virtqueue_add_sgs(vq, [], [page], 'x'))).toBe('ENOSPC');
    expect(b.kicks).toBe(0);
    expect(errnoOfSync(() => b.k.virtqueue_add_sgs(vq, [page], [], 'x'))).toBe('ENOSPC');
    expect(b.kicks).toBe(1);
    expect(b.k.dma_mappings(b.dev)).toHaveLength(mapped);
  });

  it('of more pieces than there are free descriptors is refused whole', () => {
    const page = b.page();
    for (let i = 0; i < 6; i++) b.k.virtqueue_add_sgs(vq, [], [page], i);
    expect(errnoOfSync(() => b.k.virtqueue_add_sgs(vq, [page], [page, page], 'x'))).toBe('ENOSPC');
    expect(vq.num_free).toBe(2);
  });

  it('of several pieces takes one descriptor and a table when that is negotiated', () => {
    covers('2.7.5');
    const direct = vq;
    const indirect = b.create({ features: usual | bits(VIRTIO_RING_F_INDIRECT_DESC), name: 'vq1' });
    const page = b.page();
    for (const q of [direct, indirect]) b.k.virtqueue_add_sgs(q, [page, page], [page], q.name);
    expect([direct.num_free, indirect.num_free]).toEqual([5, 7]);
    b.k.virtqueue_add_sgs(indirect, [page], [], 'one piece');
    expect(indirect.num_free).toBe(6);
    const device = b.device(indirect);
    expect([serve(device, 1)?.segments, serve(device)?.segments]).toEqual([3, 1]);
    expect([b.k.virtqueue_get_buf(indirect)?.data, b.k.virtqueue_get_buf(indirect)?.data]).toEqual(['vq1', 'one piece']);
  });

  it('whose mapping fails half-way is not added, and what was mapped is unmapped', async () => {
    covers('2.7.5');
    let left = 0;
    b = await bootRing({
      wrap: (symbol, value) => symbol !== 'dma_map_single' ? value : (...args: unknown[]) => {
        if (left > 0 && --left === 0) throw new KernelError('ENOMEM', 'test', 'injected');
        return (value as (...a: unknown[]) => unknown)(...args);
      },
    });
    vq = b.create();
    const idle = b.k.dma_mappings(b.dev).length;
    left = 3;
    expect(errnoOfSync(() => b.k.virtqueue_add_sgs(vq, [b.page(), b.page()], [b.page()], 'x'))).toBe('ENOMEM');
    expect([b.k.dma_mappings(b.dev).length, vq.num_free]).toEqual([idle, 8]);
    b.k.virtqueue_add_sgs(vq, [b.page()], [], 'y');
    expect(serve(b.device(vq))).not.toBeNull();
    expect(b.k.virtqueue_get_buf(vq)).toEqual({ data: 'y', len: 0 });
  });

  it('without a token or without pieces is a bug of the driver', () => {
    expect(() => b.k.virtqueue_add_sgs(vq, [], [], 'x')).toThrow(TypeError);
    expect(() => b.k.virtqueue_add_sgs(vq, [b.page()], [], undefined)).toThrow(TypeError);
  });
});

describe('without ACCESS_PLATFORM', () => {
  it('the device is given physical addresses, of the ring too', () => {
    covers('2.7.8');
    const idle = b.k.dma_mappings(b.dev).length;
    const raw = b.create({ features: bits(VIRTIO_F_VERSION_1), name: 'raw' });
    b.k.virtqueue_add_sgs(raw, [b.page()], [], 'x');
    expect(b.k.dma_mappings(b.dev)).toHaveLength(idle);
    const desc = b.k.virtqueue_get_desc_addr(raw);
    expect(b.hw.ram.find(desc, 4096)).not.toBeNull();
    expect(new DataView(b.k.phys_view(desc, 16).slice().buffer).getUint32(8, true)).toBe(4096);
    b.k.vring_del_virtqueue(raw);
    expect(b.k.dma_mappings(b.dev)).toHaveLength(idle);
  });
});

describe('a device that breaks the protocol', () => {
  const broken = (id: number, message: string): void => {
    b.k.virtqueue_add_sgs(vq, [], [b.page()], 'a');
    b.forge(vq, id);
    expect(b.k.virtqueue_get_buf(vq)).toBeNull();
    expect(vq.broken).toBe(true);
    expect(b.dmesg().at(-1)).toContain(`vq0:${message}`);
    expect(errnoOfSync(() => b.k.virtqueue_add_sgs(vq, [b.page()], [], 'x'))).toBe('EIO');
  };

  it('by an index out of range breaks the queue', () => {
    covers('2.7.5');
    broken(8, 'id 8 out of range');
  });

  it('by an index that heads no buffer breaks the queue', () => {
    covers('2.7.5');
    broken(1, 'id 1 is not a head!');
  });

  it('is spoken of once, and its buffers come back', () => {
    broken(1, 'id 1 is not a head!');
    b.k.virtqueue_get_buf(vq);
    expect(b.dmesg()).toEqual([]);
    expect([b.k.vring_interrupt(vq), b.calls, b.k.virtqueue_kick(vq), b.kicks]).toEqual([true, 0, false, 0]);
    expect(b.k.virtqueue_detach_unused_buf(vq)).toBe('a');
    b.k.__virtqueue_unbreak(vq);
    expect(b.k.virtqueue_is_broken(vq)).toBe(false);
  });
});

describe('kicks and interrupts', () => {
  it('a kick rings unless the device asked for silence, and a dead doorbell breaks the queue', () => {
    covers('2.7.5');
    const device = b.device(vq);
    b.k.virtqueue_add_sgs(vq, [], [b.page()], 'a');
    expect([b.k.virtqueue_kick(vq), b.kicks]).toEqual([true, 1]);
    device.disableNotify();
    b.k.virtqueue_add_sgs(vq, [], [b.page()], 'b');
    expect([b.k.virtqueue_kick(vq), b.kicks]).toEqual([true, 1]);
    device.enableNotify();
    b.notifies = false;
    b.k.virtqueue_add_sgs(vq, [], [b.page()], 'c');
    expect([b.k.virtqueue_kick(vq), vq.broken]).toEqual([false, true]);
  });

  it('with event indices a kick rings only when the device waits for that buffer', () => {
    covers('2.7.5');
    vq = b.create({ features: usual | bits(VIRTIO_RING_F_EVENT_IDX) });
    const device = b.device(vq, true);
    const add = (): number => {
      b.k.virtqueue_add_sgs(vq, [], [b.page()], 'x');
      b.k.virtqueue_kick(vq);
      return b.kicks;
    };
    expect([add(), add()]).toEqual([1, 1]); // the device waited for the first only
    serve(device);
    serve(device);
    device.enableNotify();
    expect([add(), add()]).toEqual([2, 2]);
  });

  it('an interrupt with nothing used is nobody\'s; with something it calls the driver', () => {
    const device = b.device(vq);
    expect([b.k.vring_interrupt(vq), b.calls]).toEqual([false, 0]);
    b.k.virtqueue_add_sgs(vq, [], [b.page()], 'a');
    serve(device);
    expect([b.k.vring_interrupt(vq), b.calls]).toEqual([true, 1]);
  });

  it('callbacks can be put off and asked for again without missing a buffer', () => {
    const device = b.device(vq);
    b.k.virtqueue_disable_cb(vq);
    b.k.virtqueue_add_sgs(vq, [], [b.page()], 'a');
    serve(device);
    expect(device.needInterrupt()).toBe(false);
    expect(b.k.virtqueue_enable_cb(vq)).toBe(false);
    b.k.virtqueue_get_buf(vq);
    const mark = b.k.virtqueue_enable_cb_prepare(vq);
    expect(b.k.virtqueue_poll(vq, mark)).toBe(false);
    b.k.virtqueue_add_sgs(vq, [], [b.page()], 'b');
    serve(device);
    expect([device.needInterrupt(), b.k.virtqueue_poll(vq, mark)]).toEqual([true, true]);
    expect(b.k.virtqueue_enable_cb_delayed(vq)).toBe(false);
  });
});

describe('a queue', () => {
  it('shrinks by halves when memory is short, unless it may not', async () => {
    let small = false;
    b = await bootRing({
      wrap: (symbol, value) => symbol !== 'dma_alloc_coherent' ? value : (dev: unknown, size: number) => {
        if (small && size > 8192) throw new KernelError('ENOMEM', 'test', 'injected');
        return (value as (dev: unknown, size: number) => unknown)(dev, size);
      },
    });
    small = true;
    expect(b.k.virtqueue_get_vring_size(b.create({ num: 1024 }))).toBe(128);
    expect(errnoOfSync(() => b.create({ num: 1024, may_reduce_num: false }))).toBe('ENOMEM');
    // Tables for indirect buffers are a comfort.
    const plain = b.create({ num: 128, features: usual | bits(VIRTIO_RING_F_INDIRECT_DESC) });
    b.k.virtqueue_add_sgs(plain, [b.page()], [b.page()], 'x');
    expect(plain.num_free).toBe(126);
  });

  it('gives all of its memory back, with buffers in it or not, and is missed until then', () => {
    b.k.virtqueue_add_sgs(vq, [b.page()], [], 'a');
    expect(b.k.virtio_ring_leftovers()).toEqual(['virtqueue vq0 of virtio0: 1 buffers']);
    b.k.vring_del_virtqueue(vq);
    expect([b.k.virtio_ring_leftovers(), b.k.dma_mappings(b.dev)]).toEqual([[], []]);
    expect(() => b.k.vring_del_virtqueue(vq)).toThrow('deleted already');
  });

  it('lies as the legacy layout has it: the used ring on its alignment', () => {
    const [desc, avail, used] = [b.k.virtqueue_get_desc_addr(vq), b.k.virtqueue_get_avail_addr(vq), b.k.virtqueue_get_used_addr(vq)];
    expect([avail - desc, used - desc]).toEqual([8 * 16, 4096]);
  });
});

describe('transport features', () => {
  it('no ring knows are dropped; a device\'s own are not its business', () => {
    covers('2.7.4');
    const known = bits(VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_RING_F_EVENT_IDX, VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_RING_PACKED, VIRTIO_F_ORDER_PLATFORM);
    expect(b.k.vring_transport_features(known | bits(VIRTIO_F_IN_ORDER, 38, 40, VIRTIO_NET_F_MAC)))
      .toBe(known | bits(VIRTIO_NET_F_MAC));
    expect([
      uapi.VIRTIO_F_NOTIFY_ON_EMPTY, uapi.VIRTIO_F_ANY_LAYOUT, VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_RING_F_EVENT_IDX, VIRTIO_F_VERSION_1,
      VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER, VIRTIO_F_ORDER_PLATFORM, uapi.VIRTIO_F_SR_IOV,
      uapi.VIRTIO_F_NOTIFICATION_DATA, uapi.VIRTIO_F_NOTIF_CONFIG_DATA, uapi.VIRTIO_F_RING_RESET, uapi.VIRTIO_F_ADMIN_VQ,
    ]).toEqual([24, 27, 28, 29, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41]);
  });
});
