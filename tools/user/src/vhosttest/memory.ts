/** What `vhosttest` asks of memory: IOTLB messages, limits, doorbells. */
import {
  MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE, RLIMIT_MEMLOCK, VHOST_ACCESS_RO, VHOST_ACCESS_RW, VHOST_ACCESS_WO,
  VHOST_IOTLB_ACCESS_FAIL, VHOST_IOTLB_BATCH_BEGIN, VHOST_IOTLB_BATCH_END, VHOST_IOTLB_INVALIDATE, VHOST_IOTLB_MISS,
  VHOST_IOTLB_MSG, VHOST_IOTLB_MSG_V2, VHOST_IOTLB_UPDATE, VHOST_SET_BACKEND_FEATURES, VHOST_VDPA_GET_AS_NUM, vhost_msg, vhost_msg_v2,
} from '@vdpalab/uapi';
import { le, type Caller } from './caller.ts';

const PAGE = 0x1000n;
const U64_MAX = (1n << 64n) - 1n;
/** More entries than any limit here lets through. */
const MANY = 5000;

/** Every mapping of every address space goes, without a line. */
async function forgetAll(c: Caller): Promise<void> {
  const spaces = await c.number(VHOST_VDPA_GET_AS_NUM, 4);
  for (let asid = 0; asid < spaces; asid++) {
    await c.quietly(() => c.send({ type: VHOST_IOTLB_INVALIDATE, iova: 0n, size: U64_MAX, asid }));
    await c.quietly(() => c.send({ type: VHOST_IOTLB_INVALIDATE, iova: U64_MAX - PAGE + 1n, size: PAGE, asid }));
  }
}

async function updates(c: Caller, buf: bigint): Promise<void> {
  const update = (what: string, iova: bigint, size: bigint, uaddr = buf, perm: number = VHOST_ACCESS_RW, asid = 0): Promise<void> =>
    c.message(`UPDATE ${what}`, { type: VHOST_IOTLB_UPDATE, iova, size, uaddr, perm, asid });
  await update('iova 0x1000 size 0x1000 RW', 0x1000n, PAGE);
  await update('same range again', 0x1000n, PAGE);
  await update('overlapping 0x1800 size 0x1000', 0x1800n, PAGE);
  await update('adjacent 0x2000', 0x2000n, PAGE);
  await update('size 0', 0x3000n, 0n);
  await update('perm 0', 0x10000n, PAGE, buf, 0);
  await update('perm 4 (no such)', 0x11000n, PAGE, buf, 4);
  await update('RO', 0x12000n, PAGE, buf, VHOST_ACCESS_RO);
  await update('WO', 0x13000n, PAGE, buf, VHOST_ACCESS_WO);
  const readOnly = BigInt(await c.memory(4096, PROT_READ));
  await update('RW over a read-only mapping of ours', 0x14000n, PAGE, readOnly);
  await update('RO over a read-only mapping of ours', 0x15000n, PAGE, readOnly, VHOST_ACCESS_RO);
  const gone = await c.memory(4096);
  await c.p.munmap(gone, 4096);
  await update('uaddr unmapped', 0x30000n, PAGE, BigInt(gone));
  await update('uaddr kernel', 0x31000n, PAGE, 0xffff_8000_0000_0000n);
  await update('unaligned iova 0x16010 size 0x1000, uaddr +0x10', 0x16010n, PAGE, buf + 0x10n);
  await update('at 0x17010: where the one above ends', 0x17010n, PAGE, buf + 0x10n);
  await update('unaligned size 0x10', 0x19000n, 0x10n);
  await update('right behind it, 0x19010', 0x19010n, 0x10n);
  await update('iova+size wraps', U64_MAX - PAGE + 1n, 2n * PAGE);
  await update('the very last page', U64_MAX - PAGE + 1n, PAGE);
  await update('size 2^64-1', 0n, U64_MAX);
  await update('asid 1', 0x1000n, PAGE, buf, VHOST_ACCESS_RW, 1);
  await update('asid 2 (device has 2)', 0x1000n, PAGE, buf, VHOST_ACCESS_RW, 2);
}

async function invalidates(c: Caller, buf: bigint): Promise<void> {
  const invalidate = (what: string, iova: bigint, size: bigint, asid = 0): Promise<void> =>
    c.message(`INVALIDATE ${what}`, { type: VHOST_IOTLB_INVALIDATE, iova, size, asid });
  await invalidate('0x1000 size 0x1000', 0x1000n, PAGE);
  await invalidate('again', 0x1000n, PAGE);
  await invalidate('never mapped', 0x900000n, PAGE);
  await invalidate('size 0', 0x900000n, 0n);
  await invalidate('asid 2', 0x1000n, PAGE, 2);
  await invalidate('part of a mapping (0x12000 size 0x800)', 0x12000n, 0x800n);
  await c.message('UPDATE 0x12800 size 0x800 after it', {
    type: VHOST_IOTLB_UPDATE, iova: 0x12800n, size: 0x800n, uaddr: buf + 0x800n, perm: VHOST_ACCESS_RW,
  });
}

async function oddities(c: Caller, buf: bigint): Promise<void> {
  const page = { iova: 0x40000n, size: PAGE, uaddr: buf, perm: VHOST_ACCESS_RW };
  await c.message('MISS from user', { ...page, type: VHOST_IOTLB_MISS });
  await c.message('ACCESS_FAIL from user', { ...page, type: VHOST_IOTLB_ACCESS_FAIL });
  await c.message('type 0', { ...page, type: 0 });
  await c.message('type 99', { ...page, type: 99 });
  await c.message('BATCH_BEGIN', { type: VHOST_IOTLB_BATCH_BEGIN });
  await c.message('UPDATE in batch', { ...page, type: VHOST_IOTLB_UPDATE });
  await c.message('UPDATE other asid in batch', { ...page, type: VHOST_IOTLB_UPDATE, asid: 1 });
  await c.message('BATCH_BEGIN nested', { type: VHOST_IOTLB_BATCH_BEGIN });
  await c.message('BATCH_END', { type: VHOST_IOTLB_BATCH_END });
  await c.message('BATCH_END again', { type: VHOST_IOTLB_BATCH_END });
  await c.line('outer type 7', () => c.p.write(c.fd, vhost_msg_v2.encode({ type: 7 })));
  await c.line('V2 message of 4 bytes', () => c.p.write(c.fd, le(VHOST_IOTLB_MSG_V2, 4)));
  await c.message('V2 message with inner type 0', { type: 0 });
  const iotlb = { iova: 0x50000n, size: PAGE, uaddr: buf, perm: VHOST_ACCESS_RW, type: VHOST_IOTLB_UPDATE };
  await c.line('V1 message UPDATE 0x50000', () => c.p.write(c.fd, vhost_msg.encode({ type: VHOST_IOTLB_MSG, iotlb })));
}

async function limits(c: Caller, buf: bigint): Promise<void> {
  const { rlimits } = c.p.proc;
  const update = (iova: bigint, size: bigint): Promise<number> =>
    c.send({ type: VHOST_IOTLB_UPDATE, iova, size, uaddr: buf, perm: VHOST_ACCESS_RW });
  const memlock = rlimits.get(RLIMIT_MEMLOCK) ?? Number.POSITIVE_INFINITY;
  c.say('   pinned pages and limits');
  c.say(`RLIMIT_MEMLOCK ${memlock}`);
  await forgetAll(c);
  rlimits.set(RLIMIT_MEMLOCK, 16_384);
  await c.line('UPDATE 16 KiB under a limit of 16 KiB', () => update(0x100000n, 0x4000n));
  await c.line('UPDATE one page more', () => update(0x200000n, PAGE));
  rlimits.set(RLIMIT_MEMLOCK, memlock);
  await forgetAll(c);

  const entries = (await c.p.readFile('/sys/module/vhost_vdpa/parameters/max_iotlb_entries')).trim();
  c.say(`   many entries (max_iotlb_entries ${entries})`);
  const at = (n: number): bigint => 0x1000000n + BigInt(n) * 2n * PAGE;
  for (let n = 0; n < MANY; n++) {
    const errno = await c.quietly(() => update(at(n), PAGE));
    if (errno === null) continue;
    c.say(`stopped at entry ${n}: ${errno}`);
    break;
  }
  await c.line('   the first entry mapped again', () => update(at(0), PAGE));
  await forgetAll(c);
}

async function withoutBackendFeatures(c: Caller, buf: bigint): Promise<void> {
  c.say('   without the backend features');
  await c.quietly(() => c.ioctl(VHOST_SET_BACKEND_FEATURES, le(0, 8)));
  await c.message('V2 message with asid 1, ASID not negotiated', {
    type: VHOST_IOTLB_UPDATE, iova: 0x60000n, size: PAGE, uaddr: buf, perm: VHOST_ACCESS_RW, asid: 1,
  });
  await c.message('BATCH_BEGIN not negotiated', { type: VHOST_IOTLB_BATCH_BEGIN });
  await c.quietly(() => c.send({ type: VHOST_IOTLB_BATCH_END }));
  await forgetAll(c);
}

export async function messages(c: Caller): Promise<void> {
  await c.reset();
  const buf = BigInt(await c.memory(0x10000));
  await updates(c, buf);
  await invalidates(c, buf);
  await oddities(c, buf);
  await limits(c, buf);
  await withoutBackendFeatures(c, buf);
}

export async function doorbell(c: Caller): Promise<void> {
  const map = async (what: string, len: number, prot: number, flags: number): Promise<void> => {
    await c.line(`mmap ${what}`, async () => c.p.munmap(await c.p.mmap(len, prot, flags, c.fd), len));
  };
  await map('PROT_WRITE MAP_SHARED', 4096, PROT_WRITE, MAP_SHARED);
  await map('PROT_READ|PROT_WRITE', 4096, PROT_READ | PROT_WRITE, MAP_SHARED);
  await map('two pages', 8192, PROT_WRITE, MAP_SHARED);
  await map('MAP_PRIVATE', 4096, PROT_WRITE, MAP_PRIVATE);
}
