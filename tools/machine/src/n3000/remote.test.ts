/** The data path's own tests again, for drivers whose memory is another process's. */
import { expect, test } from 'vitest';
import { Bench, driverMemory } from './driver.fixture.ts';

driverMemory.remote = true;
for (const name of ['datapath', 'control', 'hostile', 'migration']) await import(`./${name}.test.ts`);

test('the device has a mirror, and the driver its own bytes', () => {
  const bench = new Bench();
  bench.hw.ram.view(4096, 1)[0] = 7;
  const [region] = bench.hw.machine.ram.regions;
  expect([region?.kind, region?.u8[4096]]).toEqual(['remote', 0]);
  region?.remote?.pull(4096, 1);
  expect(region?.u8[4096]).toBe(7);
});
