/**
 * What a frame costs from a transmit ring through the switch into a receive ring, both drivers included.
 *
 * Prints the minimum over slices, per frame: `node tools/machine/dist/n3000/frames.program.js [bytes]`.
 */
import { VIRTIO_NET_F_MRG_RXBUF, VIRTIO_RING_F_EVENT_IDX } from '@vdpalab/uapi';
import { Bench, IOVA_SHIFT, MIB, frameOf, n3000, segment } from './driver.fixture.ts';
import type { Driver } from './driver.fixture.ts';

/** Frames between two kicks. */
const BATCH = 32;
const ROUNDS = 20;
const SLICES = 60;
const RAM = 64 * MIB;

async function measure(identity: boolean, length: number): Promise<number> {
  const bench = new Bench([n3000()], { ramBytes: RAM });
  const bars = bench.enableVfs(bench.pf, 2);
  const [a, b] = [bench.vfDriver(0, bars), bench.vfDriver(1, bars)];
  for (const driver of [a, b]) start(bench, driver, identity);
  const [tx, rx] = [new Uint32Array(3 * BATCH), new Uint32Array(3 * BATCH)];
  for (let i = 0; i < BATCH; i++) {
    tx.set(segment(a.map(a.store(frameOf(b.fn.net.bytes, a.fn.net.bytes, length)), 12 + length), 12 + length), 3 * i);
    rx.set(segment(b.map(bench.ram(2048), 2048), 2048), 3 * i);
  }
  b.send(frameOf(a.fn.net.bytes, b.fn.net.bytes)); // the switch learns where b is
  await bench.hw.sched.run();
  const tokens = Int32Array.from({ length: BATCH }, (_, i) => i);
  const lengths = new Uint32Array(BATCH);
  const [send, receive] = [a.queues[1]!.ring, b.queues[0]!.ring];
  let best = Infinity;
  for (let slice = 0; slice < SLICES; slice++) {
    const begin = process.hrtime.bigint();
    for (let round = 0; round < ROUNDS; round++) {
      receive.addMany(BATCH, rx, 0, 0, 1, tokens, 0);
      receive.kickPrepare();
      send.addMany(BATCH, tx, 0, 1, 0, tokens, 0);
      if (send.kickPrepare()) a.kick(1);
      await bench.hw.sched.run();
      if (receive.getMany(tokens, lengths, BATCH) !== BATCH) throw new Error('frames were lost');
      send.getMany(tokens, lengths, BATCH);
    }
    best = Math.min(best, Number(process.hrtime.bigint() - begin) / (ROUNDS * BATCH));
  }
  return best;
}

function start(bench: Bench, driver: Driver, identity: boolean): undefined {
  if (identity) bench.hw.iommu!.attach(driver.fn.rid, null, 'identity');
  else driver.table!.map(IOVA_SHIFT, 0, RAM, 3);
  driver.map = identity ? (pa) => pa : (pa) => pa + IOVA_SHIFT;
  driver.negotiate([VIRTIO_RING_F_EVENT_IDX, VIRTIO_NET_F_MRG_RXBUF]);
  driver.enableMsix();
  driver.setUp(0, 256);
  driver.setUp(1, 256);
  driver.status = 15;
}

const bytes = Number(process.argv[2] ?? 64);
for (const identity of [true, false]) {
  const ns = await measure(identity, bytes);
  process.stdout.write(`${bytes} bytes, IOMMU ${identity ? 'identity' : 'translating'}: ${ns.toFixed(0)} ns a frame\n`);
}
