import { covers } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { drain, sessionFrames, startPair } from '../support/index.ts';

const HDR = 12;
const RX_BUFFER = 4096;
const PAGE = 4096;
const PAGE_N = 4096n;

describe('DMA of two processes on two virtual functions', () => {
  it('loses exactly the frame whose receive buffer is unmapped, and logs who asked for which address', async () => {
    const pair = await startPair({ b: { mapBy: PAGE } });
    const { world, a, b } = pair;
    const { lab } = world;
    const frames = sessionFrames().filter((f) => f.length <= 1514);
    const victim = 7; // buffers are used in the order they were given
    const { iova, rxAt } = b.net.memory;
    const page = iova + BigInt(rxAt + victim * RX_BUFFER);
    await lab.as(b.process, () => b.net.file.unmap(page, PAGE_N));

    await lab.as(a.process, async () => {
      for (const frame of frames) await a.net.send(frame);
    });
    const got = await drain(world, b);
    const expected = frames.filter((_, i) => i !== victim);
    expect(got.map((f) => Buffer.from(f).toString('hex'))).toEqual(expected.map((f) => Buffer.from(f).toString('hex')));
    expect(b.net.lost).toBe(1);
    expect(world.hardware(1).counters).toMatchObject({ bufferFaults: 1, needsReset: 0, rxFrames: frames.length - 1 });

    const rid = (7 << 8) | 3; // 07:00.3
    const faults = await lab.kernel(async () => lab.symbol('iommu_faults')().map(({ rid: who, iova: where, write, reason }) => ({ who, where, write, reason })));
    expect(faults).toEqual([{ who: rid, where: Number(page), write: true, reason: 'not-present' }]);
    expect(lab.hw.counters.faults).toBe(1);
    expect(world.complaints()).toEqual([
      expect.stringMatching(new RegExp(`^DMAR: \\[DMA Write NO_PASID\\] Request device \\[07:00\\.3\\] fault addr 0x${page.toString(16)} `)),
    ]);
    expect(await pair.close()).toEqual([]);
  });

  it('goes where its requester id says: one address, two pages, and nowhere for an id nobody has', async () => {
    covers('1.9.1');
    const pair = await startPair();
    const { world, a, b } = pair;
    const { hw } = world.lab;
    const { iova, txAt, va } = a.net.memory;
    expect(b.net.memory.iova).toBe(iova);
    const at = Number(iova) + txAt;
    a.process.proc.mm.write(va + txAt, Uint8Array.of(0xa, 0xa, 0xa, 0xa));
    b.process.proc.mm.write(b.net.memory.va + txAt, Uint8Array.of(0xb, 0xb, 0xb, 0xb));
    const read = (rid: number): number[] => {
      const bytes = new Uint8Array(4);
      hw.dmaPort(rid).read(at, 4, bytes);
      return [...bytes];
    };
    expect([read(0x702), read(0x703)]).toEqual([[0xa, 0xa, 0xa, 0xa], [0xb, 0xb, 0xb, 0xb]]);
    expect(hw.counters.faults).toBe(0);
    expect(read(0x7f8)).toEqual([0xff, 0xff, 0xff, 0xff]);
    expect(hw.iommu?.faults.map(({ rid, iova: where, reason }) => ({ rid, where, reason }))).toEqual([{ rid: 0x7f8, where: at, reason: 'no-entry' }]);
    hw.dropDmaPort(0x7f8);
    expect(await pair.close()).toEqual([]);
  });

  it('is counted at the door as payload, headers and what the rings cost, no more and no less', async () => {
    let observed = 0;
    const pair = await startPair({
      prepare: ({ lab }) => lab.hw.observeDma((_, __, len, write): undefined => {
        if (write) observed += len;
      }),
    });
    const { counters } = pair.world.lab.hw;
    expect(counters.dmaWritten).toBe(observed); // queues that start ask for kicks
    const before = { ...counters };
    const frames = sessionFrames();
    expect((await pair.oneByOne(frames)).map((got) => got.length)).toEqual(frames.map(() => 1));

    let read = 0;
    let written = 0;
    for (const frame of frames) {
      const bytes = HDR + frame.length;
      const buffers = Math.ceil(bytes / RX_BUFFER);
      // Transmit: one descriptor. The index is read to see the frame, twice to see that there is no other, before resting, after asking
      // for kicks; then the driver's event index. Written: the used entry, its index, the event index.
      read += bytes + (2 + 16) + 2 * (1 + 2 + 1 + 1 + 1);
      written += 8 + 2 + 2;
      // Receive: for each buffer the index, an entry and a descriptor; then the driver's event index.
      read += buffers * (2 + 2 + 16) + 2;
      written += bytes + buffers * 8 + 2;
    }
    expect(counters.dmaRead - before.dmaRead).toBe(read);
    expect(counters.dmaWritten - before.dmaWritten).toBe(written);
    expect(counters.dmaWritten).toBe(observed);
    expect(await pair.close()).toEqual([]);
  });
});
