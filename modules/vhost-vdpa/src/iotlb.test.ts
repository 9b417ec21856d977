import { anonymous, covers } from '@vdpalab/testing';
import type { KernelSymbols } from '@vdpalab/abi';
import type { VhostFile } from '@vdpalab/testing';
import type { Process } from '@vdpalab/fs';
import * as uapi from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { bootVhost } from './testing/kernel.ts';

const { VHOST_IOTLB_UPDATE, VHOST_IOTLB_INVALIDATE, VHOST_IOTLB_BATCH_BEGIN, VHOST_IOTLB_BATCH_END } = uapi;
const PAGE = 4096n;
const W = 72;

/** Short names for messages about memory at `base`. */
function talk(f: VhostFile<Process>, base: number) {
  return {
    update: (iova: bigint, size = PAGE, uaddr = BigInt(base), perm = uapi.VHOST_ACCESS_RW, asid = 0) =>
      f.iotlb(VHOST_IOTLB_UPDATE, iova, size, uaddr, perm, asid),
    invalidate: (iova: bigint, size = PAGE, asid = 0) => f.iotlb(VHOST_IOTLB_INVALIDATE, iova, size, 0n, 0, asid),
    begin: (asid = 0) => f.iotlb(VHOST_IOTLB_BATCH_BEGIN, 0n, 0n, 0n, 0, asid),
    end: (asid = 0) => f.iotlb(VHOST_IOTLB_BATCH_END, 0n, 0n, 0n, 0, asid),
  };
}

/** A file with an owner, and memory of his. */
async function owned(f: VhostFile<Process>, k: Parameters<typeof anonymous<Process>>[0], proc: Process) {
  expect(await f.ioctl(uapi.VHOST_SET_OWNER)).toBe(0);
  expect(await f.set(uapi.VHOST_SET_BACKEND_FEATURES, 8, 0xe)).toBe(0);
  const base = await anonymous(k, proc, 0x10_000);
  return { base, ...talk(f, base) };
}

/** Memory of pages none of which is followed by the next one in RAM. @returns its address */
async function scattered(k: KernelSymbols, proc: Process, pages: number): Promise<number> {
  const at = await anonymous(k, proc, pages * 4096);
  await k.ksys_munmap(proc, at, pages * 4096);
  for (let page = pages - 1; page >= 0; page--) {
    await k.ksys_mmap(proc, at + page * 4096, 4096, uapi.PROT_READ | uapi.PROT_WRITE, uapi.MAP_PRIVATE | uapi.MAP_ANONYMOUS | uapi.MAP_FIXED, -1, 0);
  }
  return at;
}

test.each(['set_map', 'dma_map'] as const)('messages get the recorded answers from a parent with %s', async (mapping) => {
  covers('2.5.2', '2.5.3', '2.5.4', '2.5.6');
  const kernel = await bootVhost({ mapping });
  const { k } = kernel;
  await kernel.withFile(async (f, proc, device) => {
    const { base, update, invalidate } = await owned(f, k, proc);
    const answers: Record<string, unknown> = {};
    const at = BigInt(base);
    const readOnly = BigInt(await k.ksys_mmap(proc, 0, 4096, uapi.PROT_READ, uapi.MAP_PRIVATE | uapi.MAP_ANONYMOUS, -1, 0));
    answers['update'] = await update(0x1000n);
    answers['again'] = await update(0x1000n);
    answers['overlapping'] = await update(0x1800n);
    answers['adjacent'] = await update(0x2000n);
    answers['size 0'] = await update(0x9000n, 0n);
    answers['perm 0, 4, RO, WO'] = [
      await update(0xa000n, PAGE, at, 0), await update(0xb000n, PAGE, at, 4), await update(0xc000n, PAGE, at, 1), await update(0xd000n, PAGE, at, 2),
    ];
    answers['RW and RO over read-only memory'] = [await update(0xe000n, PAGE, readOnly), await update(0xe000n, PAGE, readOnly, 1)];
    answers['unmapped, kernel'] = [await update(0x10_000n, PAGE, 0x10n << 30n), await update(0x10_000n, PAGE, 0xffff_8880_0000_0000n)];
    answers['unaligned'] = await update(0x16_010n, PAGE, at + 0x10n);
    answers['where it ends'] = await update(0x17_010n);
    answers['unaligned, small'] = [await update(0x19_000n, 0x10n), await update(0x19_010n, 0x10n)];
    answers['wraps'] = await update(0xffff_ffff_ffff_f000n, 0x2000n);
    answers['last page'] = await update(0xffff_ffff_ffff_f000n);
    answers['2^64-1'] = await update(0x100_0000n, 0xffff_ffff_ffff_ffffn);
    answers['asid 1, 2'] = [await update(0x1000n, PAGE, at, 3, 1), await update(0x1000n, PAGE, at, 3, 2)];
    answers['invalidate'] = [await invalidate(0x1000n), await invalidate(0x1000n), await invalidate(0x5555_0000n), await invalidate(0x77_7000n, 0n)];
    answers['invalidate asid 2'] = await invalidate(0x1000n, PAGE, 2);
    answers['a part'] = [await update(0x12_000n), await invalidate(0x12_000n, 0x800n), await update(0x12_800n, 0x800n)];
    answers['miss, access fail, 0, 99'] = [];
    for (const type of [1, 4, 0, 99]) (answers['miss, access fail, 0, 99'] as unknown[]).push(await f.iotlb(type, 0n, PAGE));
    expect(answers).toEqual({
      update: W, again: 'EFAULT', overlapping: 'EFAULT', adjacent: W, 'size 0': 'EINVAL', 'perm 0, 4, RO, WO': [W, W, W, W],
      'RW and RO over read-only memory': ['EFAULT', W], 'unmapped, kernel': ['EFAULT', 'EFAULT'], unaligned: W, 'where it ends': 'EFAULT',
      'unaligned, small': [W, 'EFAULT'], wraps: 'EFAULT', 'last page': W, '2^64-1': 'EFAULT', 'asid 1, 2': [W, 'EFAULT'],
      invalidate: [W, W, W, W], 'invalidate asid 2': 'EFAULT', 'a part': [W, W, W], 'miss, access fail, 0, 99': ['EFAULT', 'EFAULT', 'EFAULT', 'EFAULT'],
    });
    const [first] = device.maps.filter((map) => map.start === 0x2000n);
    expect(first).toEqual({ asid: 0, start: 0x2000n, size: PAGE, addr: BigInt(proc.mm.translate(base, false)), perm: 3 });
    expect(device.maps.find((map) => map.start === 0x16_000n)?.size).toBe(2n * PAGE); // unaligned ranges are widened to pages
  });
  expect(kernel.dmesg()).toEqual([
    "3:  vhost-vdpa-0: can't find and alloc asid 2", '3:  vhost-vdpa-0: no iotlb for asid 2',
  ]);
  expect(await kernel.gone()).toEqual([]);
});

test('the inner reason of a refusal that user space sees as EFAULT is kept', async () => {
  const kernel = await bootVhost();
  const { k } = kernel;
  await kernel.withFile(async (f, proc) => {
    const { update, base } = await owned(f, k, proc);
    await update(0x1000n);
    const bytes = uapi.vhost_msg_v2.encode({
      type: 2, asid: 0, iotlb: { iova: 0x1000n, size: PAGE, uaddr: BigInt(base), perm: 3, type: VHOST_IOTLB_UPDATE },
    });
    await expect(k.ksys_write(proc, f.fd, bytes)).rejects.toMatchObject({ errno: 'EFAULT', cause: { errno: 'EEXIST', rule: 'vhost_vdpa.iotlb.overlap' } });
  });
});

test('both versions of a message; asids count once negotiated; what is no message is EINVAL', async () => {
  covers('2.5.1');
  const kernel = await bootVhost();
  const { k } = kernel;
  await kernel.withFile(async (f, proc, device) => {
    expect(await f.ioctl(uapi.VHOST_SET_OWNER)).toBe(0);
    const base = await anonymous(k, proc, 0x1000);
    const { update, begin } = talk(f, base);
    expect([await update(0x1000n, PAGE, BigInt(base), 3, 1), await begin(), device.maps.map((map) => map.asid)]).toEqual([W, W, [0]]);
    await talk(f, base).end();
    await f.set(uapi.VHOST_SET_BACKEND_FEATURES, 8, 0xe);
    expect([await update(0x1000n, PAGE, BigInt(base), 3, 1), device.maps.map((map) => map.asid)]).toEqual([W, [0, 1]]);
    const v1 = uapi.vhost_msg.encode({ type: 1, iotlb: { iova: 0x5_0000n, size: PAGE, uaddr: BigInt(base), perm: 3, type: VHOST_IOTLB_UPDATE } });
    expect(await f.write(v1)).toBe(W);
    const long = new Uint8Array(200);
    long.set(uapi.vhost_msg.encode({ type: 1, iotlb: { iova: 0x5_1000n, size: PAGE, uaddr: BigInt(base), perm: 3, type: VHOST_IOTLB_UPDATE } }));
    expect(await f.write(long)).toBe(W);
    expect([await f.write(new Uint8Array(8)), await f.write(Uint8Array.of(2, 0, 0, 0)), await f.write(v1.slice(0, 20)), await f.write(new Uint8Array(0))])
      .toEqual(['EINVAL', 'EINVAL', 'EINVAL', 'EINVAL']);
    const seven = v1.slice();
    seven[0] = 7;
    expect(await f.write(seven)).toBe('EINVAL');
  });
});

test('a parent that takes whole tables hears of a batch once, at its end', async () => {
  covers('2.5.5');
  const kernel = await bootVhost();
  const { k } = kernel;
  await kernel.withFile(async (f, proc, device) => {
    const { base, update, invalidate, begin, end } = await owned(f, k, proc);
    await update(0x1000n, PAGE, BigInt(base), 3, 1);
    kernel.parent.calls.take();
    expect([await begin(), await update(0x1000n), await update(0x2000n), await invalidate(0x1000n)]).toEqual([W, W, W, W]);
    expect([kernel.parent.calls.take(), device.maps.length]).toEqual([[], 1]);
    expect(await update(0x9000n, PAGE, BigInt(base), 3, 1)).toBe('EFAULT');
    expect([await begin(), await end(), await end()]).toEqual([W, W, W]);
    expect([kernel.parent.calls.take(), device.maps.map((map) => map.start)]).toEqual([['set_map 0'], [0x1000n, 0x2000n]]);
    await invalidate(0x2000n);
    await invalidate(0x2000n); // nothing there, told all the same
    expect([kernel.parent.calls.take(), device.maps.length]).toEqual([['set_map 0', 'set_map 0'], 1]);
  });
  expect(kernel.dmesg()).toEqual(['6:  vhost-vdpa-0: batch id 0 asid 1']);

  const stepwise = await bootVhost({ mapping: 'dma_map' });
  await stepwise.withFile(async (f, proc, device) => {
    const { update, begin } = await owned(f, stepwise.k, proc);
    await begin();
    await update(0x1000n);
    expect(device.maps.length).toBe(1); // at once, batch or not
  });
});

test('mappings go with a reset in parents of the kind that had it so, unless IOTLB_PERSIST was agreed; the file\'s own table stays', async () => {
  covers('2.5.12');
  const persist = 1n << BigInt(uapi.VHOST_BACKEND_F_IOTLB_PERSIST);
  for (const [acked, maps, reset] of [[0n, 0, 'compat_reset 1'], [persist, 1, 'reset']] as const) {
    const kernel = await bootVhost({ mapping: 'dma_map', having: ['compat_reset', 'reset_map'] });
    const { k } = kernel;
    await kernel.withFile(async (f, proc, device) => {
      const { update, invalidate } = await owned(f, k, proc);
      expect((await f.get(uapi.VHOST_GET_BACKEND_FEATURES, 8) as bigint) & persist).toBe(persist);
      expect(await f.set(uapi.VHOST_SET_BACKEND_FEATURES, 8, acked)).toBe(0);
      expect(await update(0x1000n)).toBe(W);
      kernel.parent.calls.take();
      expect([await f.set(uapi.VHOST_VDPA_SET_STATUS, 1, 0), kernel.parent.calls.take()]).toEqual([0, [reset]]);
      expect([device.maps.length, await update(0x1000n)]).toEqual([maps, 'EFAULT']); // the file knows it still
      expect([await invalidate(0x1000n), await update(0x1000n), device.maps.length]).toEqual([W, W, 1]);
    });
    expect(await kernel.gone()).toEqual([]);
  }
  const old = await bootVhost({ having: ['compat_reset'] }); // nothing to agree on
  await old.withFile(async (f) => expect(await f.set(uapi.VHOST_SET_BACKEND_FEATURES, 8, persist)).toBe('EOPNOTSUPP'));
});

test('pages are pinned for as long as they are mapped, within RLIMIT_MEMLOCK, one mapping for each contiguous run', async () => {
  covers('2.5.8');
  const kernel = await bootVhost({ mapping: 'dma_map' });
  const { k } = kernel;
  const pins = (): string[] => kernel.leftovers().filter((line) => line.includes('pinned'));
  await kernel.withFile(async (f, proc, device) => {
    const { update, invalidate } = await owned(f, k, proc);
    proc.rlimits.set(uapi.RLIMIT_MEMLOCK, 16 << 10);
    expect([await update(0x1000n, 4n * PAGE), await update(0x1_0000n)]).toEqual([W, 'EFAULT']);
    expect([proc.mm.pinned_vm, pins().length]).toEqual([4, 1]);
    expect([await invalidate(0x1000n), proc.mm.pinned_vm, pins(), await update(0x1_0000n)]).toEqual([W, 0, [], W]);
    await invalidate(0x1_0000n);

    const shape = await scattered(k, proc, 3);
    expect(await update(0x2000n, 3n * PAGE, BigInt(shape))).toBe(W);
    expect(device.maps.map(({ start, addr }) => [start, Number(addr)]))
      .toEqual([0, 1, 2].map((page) => [BigInt(0x2000 + page * 4096), proc.mm.translate(shape + page * 4096, true)]));
  });
  expect(await kernel.gone()).toEqual([]);
});

test.each([1, 2, 3])('a mapping that the parent refuses at chunk %i leaves nothing pinned, mapped or counted', async (chunk) => {
  const kernel = await bootVhost({ mapping: 'dma_map', fails: { at: 1 + chunk, errno: 'ENOSPC' } });
  const { k } = kernel;
  await kernel.withFile(async (f, proc, device) => {
    const { update } = await owned(f, k, proc);
    const pages = await scattered(k, proc, 3);
    expect(await update(0x1000n, 3n * PAGE, BigInt(pages))).toBe('EFAULT');
    expect([kernel.parent.calls.failed, device.maps, proc.mm.pinned_vm]).toEqual(['dma_map', [], 0]);
    expect(kernel.leftovers().filter((line) => line.includes('pinned'))).toEqual([]);
    expect(await update(0x1000n)).toBe(W); // and the range is free
  });
  expect(await kernel.gone()).toEqual([]);
});

test('max_iotlb_entries bounds an address space', async () => {
  covers('2.4.1');
  const kernel = await bootVhost({ mapping: 'dma_map' });
  await kernel.withFile(async (f, proc) => {
    const { update } = await owned(f, kernel.k, proc);
    proc.rlimits.set(uapi.RLIMIT_MEMLOCK, Number.MAX_SAFE_INTEGER);
    let stopped = -1;
    for (let i = 0; i <= 2048 && stopped < 0; i++) if (await update(BigInt(i) * PAGE) !== W) stopped = i;
    expect(stopped).toBe(2048);
    expect(proc.mm.pinned_vm).toBe(2048);
  });
  expect(await kernel.gone()).toEqual([]);
});

test('the close takes every mapping back, and a parent that can resets its map', async () => {
  covers('2.5.11', '2.4.4');
  const kernel = await bootVhost({ mapping: 'dma_map', having: ['reset_map'] });
  await kernel.withFile(async (f, proc) => {
    const { base, update } = await owned(f, kernel.k, proc);
    await update(0x1000n);
    await update(0x1000n, PAGE, BigInt(base), 3, 1);
    kernel.parent.calls.take();
  });
  expect(kernel.parent.calls.take().map((call) => call.split(' ').slice(0, 2).join(' ')))
    .toEqual(['reset', 'dma_unmap 0', 'reset_map 0', 'dma_unmap 1', 'reset_map 1', 'free']);
  expect(await kernel.gone()).toEqual([]);
});

test('a parent that uses user addresses is given shared areas by their address, nothing is pinned', async () => {
  covers('2.5.9');
  const kernel = await bootVhost({ mapping: 'dma_map', use_va: true });
  const { k } = kernel;
  await kernel.withFile(async (f, proc, device) => {
    const { update } = await owned(f, k, proc);
    const map = (flags: number) => k.ksys_mmap(proc, 0, 8192, uapi.PROT_READ | uapi.PROT_WRITE, flags | uapi.MAP_ANONYMOUS, -1, 0);
    const [shared, own] = [await map(uapi.MAP_SHARED), await map(uapi.MAP_PRIVATE)];
    expect(await update(0x1000n, 8192n, BigInt(shared))).toBe(W);
    expect(device.maps).toEqual([{ asid: 0, start: 0x1000n, size: 8192n, addr: BigInt(shared), perm: 3 }]);
    expect([await update(0x10_000n, PAGE, BigInt(own)), device.maps.length]).toEqual([W, 1]); // private memory is left out
    expect([await update(0x20_000n, PAGE, 0x10n << 30n), proc.mm.pinned_vm]).toEqual(['EFAULT', 0]);
  });
  expect(await kernel.gone()).toEqual([]);
});

test('a refusal where Linux hears none is said in the log, and the rest goes on', async () => {
  const kernel = await bootVhost({ fails: { at: 2, errno: 'EIO' } });
  await kernel.withFile(async (f, proc) => {
    const { begin, end, update } = await owned(f, kernel.k, proc);
    expect([await begin(), await update(0x1000n), await end(), await update(0x2000n)]).toEqual([W, W, W, W]);
  });
  expect(kernel.dmesg()).toEqual(['4:  vhost-vdpa-0: set_map failed, which nobody hears: call 2 of the fake parent, set_map, fails (EIO)']);
  expect(await kernel.gone()).toEqual([]);
});
