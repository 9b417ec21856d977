import {
  IOMMU_READ, IOMMU_WRITE, MLX5_CMD_OP_DESTROY_MKEY, MLX5_CMD_STAT_NO_RES_ERR, MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY, mlx5_cmd_in,
} from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { Bench, connectx } from './driver.fixture.ts';
import type { Driver } from './driver.fixture.ts';
import { LOG_MAX_MKEY, NULL_MKEY } from './memory-keys.ts';
import { SYNDROMES } from './refusal.ts';
import { createKey, frame, keyInput, VirtioNet } from './virtio.fixture.ts';

const BROADCAST = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
const PAGE = 4096;

async function device(iommu = false): Promise<{ bench: Bench; driver: Driver; pd: number; to: (key: number, address: number, write?: boolean) => number | string }> {
  const bench = new Bench(connectx(), iommu);
  await bench.pf.start();
  const driver = await (await bench.subfunction(0)).start();
  const { keys } = bench.fn;
  return { bench, driver, pd: await driver.pd(), to: (key, address, write = false) => (keys.resolve(1, key, address, write) ? keys.bus : keys.reason) };
}

test('pages: each address leads to its page, neighbours in one piece, nothing beyond the ends', async () => {
  const { driver, pd, to, bench } = await device();
  const key = await createKey(driver, keyInput.pages(pd, 0x10_0000, 3 * PAGE + 100, 12, [0x8000, 0x9000, 0x4000, 0xf000], { mkey_7_0: 0x42 }));
  expect(key & 0xff).toBe(0x42);
  expect([0x10_0000, 0x10_1fff, 0x10_2000, 0x10_2fff, 0x10_3063].map((at) => to(key, at))).toEqual([0x8000, 0x9fff, 0x4000, 0x4fff, 0xf063]);
  expect([0xf_ffff, 0x10_3064].map((at) => to(key, at))).toEqual(['out-of-range', 'out-of-range']);
  bench.fn.keys.resolve(1, key, 0x10_1800, false);
  expect([bench.fn.keys.before, bench.fn.keys.after]).toEqual([0x1800, 0x800]);
  expect(to(key ^ 1, 0x10_0000)).toBe('unknown-key'); // the variant is part of it
  const large = await createKey(driver, keyInput.pages(pd, 0, 2 ** 31, 30, [2 ** 40, 2 ** 33]));
  expect([to(large, 5), to(large, 2 ** 30 + 5)]).toEqual([2 ** 40 + 5, 2 ** 33 + 5]);
});

test('everything, or a part of it, 1:1', async () => {
  const { driver, pd, to, bench } = await device();
  const all = await createKey(driver, keyInput.all(pd));
  expect([to(all, 0), to(all, 2 ** 52)]).toEqual([0, 2 ** 52]);
  const part = await createKey(driver, keyInput.all(pd, { length64: 0, start_addr: 0x4000n, len: 0x1000n }));
  expect([to(part, 0x3fff), to(part, 0x4010), to(part, 0x5000)]).toEqual(['out-of-range', 0x4010, 'out-of-range']);
  bench.fn.keys.resolve(1, part, 0x4010, false);
  expect([bench.fn.keys.before, bench.fn.keys.after]).toEqual([0x10, 0xff0]);
});

test('a key of keys: spans one after the other, holes of the null key, rights of both', async () => {
  const { driver, pd, to, bench } = await device();
  const low = await createKey(driver, keyInput.pages(pd, 0x1000, 2 * PAGE, 12, [0x8000, 0xa000]));
  const read = await createKey(driver, keyInput.pages(pd, 0x9000, PAGE, 12, [0x2_0000], { lw: 0 }));
  const top = await createKey(driver, keyInput.spans(pd, 0x1000, 9 * PAGE, [
    { bcount: 2 * PAGE, key: low, va: 0x1000 }, { bcount: 6 * PAGE, key: NULL_MKEY }, { bcount: PAGE, key: read, va: 0x9000 },
  ]));
  expect([0x1000, 0x2000, 0x2fff, 0x3000, 0x8fff, 0x9000, 0x9fff, 0xa000].map((at) => to(top, at)))
    .toEqual([0x8000, 0xa000, 0xafff, 'null-key', 'null-key', 0x2_0000, 0x2_0fff, 'out-of-range']);
  expect([to(top, 0x1000, true), to(top, 0x9000, true)]).toEqual([0x8000, 'permission']);
  const { keys } = bench.fn;
  keys.resolve(1, top, 0x2800, false);
  expect([keys.before, keys.after]).toEqual([0x800, 0x800]);
  await driver.run(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_DESTROY_MKEY, number: low >>> 8 }));
  expect([to(top, 0x1000), keys.refusedKey, to(top, 0x9000)]).toEqual(['unknown-key', low, 0x2_0000]);
});

test('keys that go round end, and another function\'s are refused', async () => {
  const { driver, pd, to, bench } = await device();
  let inner = await createKey(driver, keyInput.all(pd));
  const depths: (number | string)[] = [];
  for (let depth = 1; depth <= 6; depth++) {
    inner = await createKey(driver, keyInput.spans(pd, 0, PAGE, [{ bcount: PAGE, key: inner }]));
    depths.push(to(inner, 0x10));
  }
  expect(depths).toEqual([0x10, 0x10, 0x10, 0x10, 'too-deep', 'too-deep']);
  const self = ((inner >>> 8) + 1) << 8;
  expect(await createKey(driver, keyInput.spans(pd, 0, PAGE, [{ bcount: PAGE, key: self }]))).toBe(self);
  expect(to(self, 0)).toBe('too-deep');
  const theirs = await createKey(bench.pf, keyInput.all(await bench.pf.pd()));
  expect([to(theirs, 0), to(await createKey(driver, keyInput.spans(pd, 0, PAGE, [{ bcount: PAGE, key: theirs }])), 0)]).toEqual(['other-function', 'other-function']);
});

test('keys that cannot be are refused with a reason each', async () => {
  const { driver, pd, bench } = await device();
  const why = async (input: Uint8Array): Promise<number> => (await driver.exec(input)).syndrome;
  expect(await why(keyInput.all(pd, { access_mode_1_0: 3 }))).toBe(SYNDROMES['key.mode']);
  expect(await why(keyInput.all(pd, { access_mode_4_2: 1 }))).toBe(SYNDROMES['key.mode']);
  expect(await why(keyInput.all(pd + 1))).toBe(SYNDROMES['object.unknown']);
  expect(await why(keyInput.pages(pd, 0, 0, 12, []))).toBe(SYNDROMES['key.range']);
  expect(await why(keyInput.all(pd, { length64: 0, len: 1n << 60n }))).toBe(SYNDROMES['key.range']);
  expect(await why(keyInput.pages(pd, 0, 4 * PAGE, 12, [0, 0, 0]))).toBe(SYNDROMES['key.translations']);
  expect(await why(keyInput.pages(pd, 0, 4, 11, [0]))).toBe(SYNDROMES['key.translations']);
  expect(await why(keyInput.pages(pd, 0, 2 ** 52, 12, [0]))).toBe(SYNDROMES['key.translations']);
  expect(await why(keyInput.spans(pd, 0, 3 * PAGE, [{ bcount: 2 * PAGE, key: NULL_MKEY }]))).toBe(SYNDROMES['key.translations']);
  expect(await why(keyInput.spans(pd, 0, 2 * PAGE, [{ bcount: 2 * PAGE, key: NULL_MKEY }], { translations_octword_actual_size: 0 }))).toBe(SYNDROMES['key.translations']);
  expect(await why(mlx5_cmd_in.make({ opcode: MLX5_CMD_OP_DESTROY_MKEY, number: 1 }))).toBe(SYNDROMES['object.unknown']); // the null key
  expect(bench.fn.keys.size).toBe(0);
});

test('there are only so many keys', async () => {
  const { driver, pd, bench } = await device();
  const { keys } = bench.fn;
  const settings = { vhca: 9, mode: 0, access: 3, variant: 0, start: 0, length: 1, spans: [] };
  while (keys.size < 2 ** LOG_MAX_MKEY - 2) keys.create(settings);
  expect((await driver.exec(keyInput.all(pd))).status).toBe(MLX5_CMD_STAT_NO_RES_ERR);
  keys.destroyAll(9);
  expect((await driver.exec(keyInput.all(pd))).status).toBe(0);
});

test('a queue\'s addresses go through its key; a refusal is kept with key, function and address, and the queue goes on', async () => {
  const { bench, driver } = await device();
  const net = await VirtioNet.of(driver);
  net.shift = 0x4000_0000;
  const key = await createKey(driver, keyInput.pages(net.pd, net.shift, 64 << 20, 26, [0]));
  const tx = net.ring();
  const number = await net.ready(1, key, tx);
  await net.send(1, tx, frame(BROADCAST));
  expect([net.outside.take().length, net.back(tx).length, bench.fn.keyFaults]).toEqual([1, 1, []]);
  await net.send(1, tx, frame(BROADCAST), 0); // a bus address, which it is not
  expect(bench.fn.keyFaults.at(-1)).toMatchObject({ stage: 'key', vhca: 1, key, write: false, reason: 'out-of-range' });
  expect([net.outside.take().length, net.back(tx).length, (await net.query(number)).state]).toEqual([0, 1, MLX5_VIRTIO_NET_Q_OBJECT_STATE_RDY]);
});

test('both stages: the platform\'s table under the key', async () => {
  const { bench, pf, hw, fn } = ((b) => ({ bench: b, pf: b.pf, hw: b.hw, fn: b.fn }))(new Bench(connectx(), true));
  const iommu = hw.iommu!; // asked for
  const table = iommu.createTable();
  iommu.attach(fn.rid, null, table);
  table.map(0, 0, 64 << 20, IOMMU_READ | IOMMU_WRITE); // the command queue as it is
  const BUS = 0x1_0000_0000;
  table.map(BUS, 0, 64 << 20, IOMMU_READ | IOMMU_WRITE);
  await pf.start();
  const net = await VirtioNet.of(await (await bench.subfunction(0)).start());
  net.shift = 0x4000_0000;
  const key = await createKey(net.driver, keyInput.pages(net.pd, net.shift, 64 << 20, 26, [BUS]));
  const tx = net.ring();
  await net.ready(1, key, tx);
  await net.send(1, tx, frame(BROADCAST));
  expect([net.outside.take().length, fn.keyFaults.length, iommu.faults.length]).toEqual([1, 0, 0]);
  table.unmap(BUS, 64 << 20);
  await net.send(1, tx, frame(BROADCAST));
  expect([net.outside.take().length, fn.keyFaults.length]).toEqual([0, 0]);
  expect(iommu.faults.at(-1)).toMatchObject({ rid: fn.rid, pasid: null });
});
