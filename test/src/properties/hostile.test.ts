import { isKernelError } from '@vdpalab/abi';
import type { UserProcess } from '@vdpalab/lab';
import * as uapi from '@vdpalab/uapi';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drain, hexOf, startEnd, startPair, stopEnd, type End } from '../support/index.ts';

const QUEUE_SIZE = 64;
const PAGE = 4096;
/** The hostile driver's memory as its device sees it. */
const IOVA = 0x1000_0000;

/** What a process may do to its own device. */
type Attack =
  | { readonly kind: 'descriptor'; readonly queue: number; readonly index: number; readonly addr: bigint; readonly len: number; readonly flags: number; readonly next: number }
  | { readonly kind: 'available'; readonly queue: number; readonly slot: number; readonly head: number }
  | { readonly kind: 'index'; readonly queue: number; readonly index: number }
  | { readonly kind: 'bytes'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'kick'; readonly queue: number }
  | { readonly kind: 'ioctl'; readonly cmd: number; readonly arg: number; readonly bytes: Uint8Array }
  | { readonly kind: 'message'; readonly bytes: Uint8Array }
  | { readonly kind: 'unmap'; readonly page: number }
  | { readonly kind: 'frame' };

/** The letter of vhost's ioctls. */
const VHOST_VIRTIO = 0xaf;

/** Ioctls of the file, by name; `_IO` ones take no pointer. */
const ioctls = Object.entries(uapi).filter(([name, value]) => /^VHOST_(GET|SET|RESET|VDPA)_/.test(name) && typeof value === 'number' && ((value >>> 8) & 0xff) === VHOST_VIRTIO)
  .map(([name, value]) => [name, value as number] as const);

const u16 = fc.oneof(fc.nat(QUEUE_SIZE), fc.nat(0xffff));
const queue = fc.nat(1);
const address = fc.oneof(
  fc.nat(0x20_0000).map((n) => BigInt(IOVA + n)), fc.nat(0xffff_ffff).map(BigInt), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
);
/** Mapped and not, straddling, null, far. */
const pointer = fc.oneof(fc.constantFrom(0, 1, 0xfff, 0x7fff_ffff_f000, 0x1_0000_0000_0000, 2 ** 52), fc.nat(0xffff_ffff));
const message = fc.record({
  type: fc.nat(7), iova: address, size: fc.oneof(fc.constantFrom(0n, 1n, 4096n, 1n << 40n, (1n << 64n) - 1n), address), uaddr: address, perm: fc.nat(4),
}).map((iotlb) => uapi.vhost_msg_v2.encode({ type: uapi.VHOST_IOTLB_MSG_V2, iotlb }));

const attack: fc.Arbitrary<Attack> = fc.oneof(
  { weight: 4, arbitrary: fc.record({
    kind: fc.constant('descriptor' as const), queue, index: fc.nat(QUEUE_SIZE - 1), addr: address, len: fc.oneof(fc.nat(0x2000), fc.nat(0xffff_ffff)),
    flags: fc.oneof(fc.nat(7), fc.nat(0xffff)), next: u16,
  }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('available' as const), queue, slot: fc.nat(QUEUE_SIZE - 1), head: u16 }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('index' as const), queue, index: u16 }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('bytes' as const), at: fc.nat(2 * PAGE - 65), bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('kick' as const), queue }) },
  { weight: 2, arbitrary: fc.record({
    kind: fc.constant('ioctl' as const), cmd: fc.oneof(fc.constantFrom(...ioctls.map(([, cmd]) => cmd)), fc.nat(0xffff_ffff)), arg: fc.oneof(fc.constant(-1), pointer),
    bytes: fc.uint8Array({ minLength: 40, maxLength: 40 }),
  }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('message' as const), bytes: fc.oneof(message, fc.uint8Array({ maxLength: 80 })) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('unmap' as const), page: fc.nat(300) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('frame' as const) }) },
);

/** A driver that runs, and the means to spoil its rings. */
class Hostile {
  readonly end: End;
  readonly #p: UserProcess;
  readonly #kick: number;
  readonly #scratch: number;

  private constructor(end: End, kick: number, scratch: number) {
    this.end = end;
    this.#p = end.process;
    this.#kick = kick;
    this.#scratch = scratch;
  }

  static async create(p: UserProcess, end: End): Promise<Hostile> {
    const kick = p.eventfd();
    for (const index of [0, 1]) await end.net.file.setVringKick(index, kick);
    return new Hostile(end, kick, await p.mmap(PAGE, uapi.PROT_READ | uapi.PROT_WRITE, uapi.MAP_PRIVATE | uapi.MAP_ANONYMOUS));
  }

  async run(step: Attack): Promise<void> {
    const { net } = this.end;
    const desc = (q: number): number => q * ringBytes();
    const avail = (q: number): number => desc(q) + uapi.vring_desc_table_size(QUEUE_SIZE);
    switch (step.kind) {
      case 'descriptor': {
        const view = new DataView(new ArrayBuffer(16));
        view.setBigUint64(0, step.addr, true);
        view.setUint32(8, step.len, true);
        view.setUint16(12, step.flags, true);
        view.setUint16(14, step.next, true);
        return this.#poke(desc(step.queue) + 16 * step.index, new Uint8Array(view.buffer));
      }
      case 'available': return this.#poke(avail(step.queue) + 4 + 2 * step.slot, Uint8Array.of(step.head, step.head >>> 8));
      case 'index': return this.#poke(avail(step.queue) + 2, Uint8Array.of(step.index, step.index >>> 8));
      case 'bytes': return this.#poke(step.at, step.bytes);
      case 'kick': return await this.#call(() => this.#p.eventfdWrite(this.#kick));
      case 'ioctl':
        this.#p.proc.mm.write(this.#scratch, step.bytes);
        return await this.#call(() => this.#p.ioctl(net.file.fd, step.cmd, step.arg === -1 ? this.#scratch : step.arg));
      case 'message': return await this.#call(() => this.#p.write(net.file.fd, step.bytes));
      case 'unmap': return await this.#call(() => net.file.unmap(BigInt(IOVA + step.page * PAGE), BigInt(PAGE)));
      default: return undefined;
    }
  }

  #poke(at: number, bytes: Uint8Array): void {
    this.#p.proc.mm.write(this.end.net.memory.va + at, bytes);
  }

  /** A call may be refused, with an errno and nothing else. */
  async #call(body: () => Promise<unknown>): Promise<void> {
    try {
      await body();
    } catch (error) {
      if (!isKernelError(error)) throw error;
    }
  }
}

/** Bytes from one ring of the user-mode driver to the next. */
function ringBytes(): number {
  const bytes = uapi.vring_desc_table_size(QUEUE_SIZE) + uapi.vring_avail_size(QUEUE_SIZE) + 4 + uapi.vring_used_size(QUEUE_SIZE);
  return Math.ceil(bytes / PAGE) * PAGE;
}

const broadcast = (n: number): Uint8Array => new Uint8Array(60 + n).fill(n + 1).fill(0xff, 0, 6);

describe('a process that is hostile to its own device', () => {
  it('breaks that device at most: its neighbours pass every frame, a new owner finds it whole, nothing is left', async () => {
    await fc.assert(fc.asyncProperty(fc.nat(0x7fff_ffff), fc.array(attack, { minLength: 5, maxLength: 60 }), async (seed, attacks) => {
      const pair = await startPair({ seed, vfs: 3, queueSize: QUEUE_SIZE, memory: '32M' });
      const { world, a, b } = pair;
      const { lab } = world;
      await world.addDevice('evil', 2, 'vhost_vdpa');
      const end = await startEnd(world, 'evil', { queueSize: QUEUE_SIZE, mapBy: PAGE });
      const hostile = await lab.as(end.process, (p) => Hostile.create(p, end));
      let sent = 0;
      for (const step of attacks) {
        if (step.kind !== 'frame') {
          await lab.as(end.process, () => hostile.run(step));
          continue;
        }
        const frame = broadcast(sent++); // the hostile one gets it as well
        await lab.as(a.process, () => a.net.send(frame));
        expect(hexOf(await drain(world, b))).toContain(hexOf([frame])[0]);
      }
      const vf = world.hardware(2);
      if (vf.fault !== null) expect(vf.fault.rule).toMatch(/^(vring|virtio)\./);
      for (const n of [0, 1]) expect(world.hardware(n).counters).toMatchObject({ needsReset: 0, bufferFaults: 0 });
      expect((lab.hw.iommu?.faults ?? []).every(({ rid }) => rid === 0x704)).toBe(true);
      expect(lab.hw.counters.aborts).toBe(0);

      await lab.exitProcess(end.process);
      const after = await startEnd(world, 'evil', { queueSize: QUEUE_SIZE });
      await drain(world, after);
      const last = broadcast(1000);
      await lab.as(a.process, () => a.net.send(last));
      expect(hexOf(await drain(world, after))).toEqual(hexOf([last]));
      await stopEnd(world, after);
      await world.delDevice('evil');
      expect(await pair.close()).toEqual([]);
    }), { numRuns: 25 });
  }, 90_000);

  it('loses a frame to a descriptor that leads nowhere, and the device to an index beyond the ring', async () => {
    const pair = await startPair({ vfs: 3, queueSize: QUEUE_SIZE });
    const { world } = pair;
    const { lab } = world;
    await world.addDevice('evil', 2, 'vhost_vdpa');
    const end = await startEnd(world, 'evil', { queueSize: QUEUE_SIZE });
    const hostile = await lab.as(end.process, (p) => Hostile.create(p, end));
    const vf = world.hardware(2);
    const attack = (step: Attack) => lab.as(end.process, () => hostile.run(step));

    await attack({ kind: 'descriptor', queue: 1, index: 0, addr: 0xdead_0000n, len: 100, flags: 0, next: 0 });
    await attack({ kind: 'available', queue: 1, slot: 0, head: 0 });
    await attack({ kind: 'index', queue: 1, index: 1 });
    await attack({ kind: 'kick', queue: 1 });
    expect([vf.counters.bufferFaults, vf.counters.txFrames, vf.counters.needsReset]).toEqual([1, 0, 0]);
    expect(lab.hw.iommu?.faults.map(({ rid, iova }) => [rid, iova])).toEqual([[0x704, 0xdead_0000]]);

    await attack({ kind: 'index', queue: 1, index: 2 + QUEUE_SIZE });
    await attack({ kind: 'kick', queue: 1 });
    expect([vf.counters.needsReset, vf.fault?.rule]).toEqual([1, 'vring.index-jump']);
    expect((await lab.as(end.process, () => end.net.file.status())) & uapi.VIRTIO_CONFIG_S_NEEDS_RESET).not.toBe(0);
    expect(hexOf((await pair.oneByOne([broadcast(1)])).flat())).toEqual(hexOf([broadcast(1)]));
    await stopEnd(world, end);
    await world.delDevice('evil');
    expect(await pair.close()).toEqual([]);
  });

  it('gets EFAULT for a pointer that leads nowhere, whatever the ioctl, and the device is as before', async () => {
    const pair = await startPair();
    const { world, b } = pair;
    const withoutPointer = new Set([uapi.VHOST_SET_OWNER, uapi.VHOST_RESET_OWNER, uapi.VHOST_VDPA_SUSPEND, uapi.VHOST_VDPA_RESUME]);
    // Refused before their argument is looked at.
    const refusedFirst = { VHOST_SET_FEATURES: 'EBUSY', VHOST_SET_LOG_BASE: 'ENOTTY', VHOST_SET_LOG_FD: 'ENOTTY' };
    const answers: Record<string, string> = {};
    await world.lab.as(b.process, async (p) => {
      const { file } = b.net;
      const before = [await file.status(), await file.features(), await file.vringBase(0)];
      for (const [name, cmd] of ioctls) {
        if (withoutPointer.has(cmd)) continue;
        try {
          await p.ioctl(file.fd, cmd, 0x10);
          answers[name] = 'ok';
        } catch (error) {
          if (!isKernelError(error)) throw error;
          answers[name] = error.errno;
        }
      }
      expect([await file.status(), await file.features(), await file.vringBase(0)]).toEqual(before);
    });
    expect(Object.keys(answers).length).toBeGreaterThan(20);
    expect(Object.fromEntries(Object.entries(answers).filter(([, errno]) => errno !== 'EFAULT'))).toEqual(refusedFirst);
    expect(await pair.close()).toEqual([]);
  });
});
