/** The data path's own tests again, for drivers whose memory is another process's. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Bench, driverMemory } from './driver.fixture.ts';

beforeAll(() => void (driverMemory.remote = true));
afterAll(() => void (driverMemory.remote = false)); // files that one process runs share the fixture

// The query makes it another module: one that this process has loaded already would bring no tests.
describe.each(['datapath', 'control', 'hostile', 'migration'])('%s', (name) => import(`./${name}.test.ts?remote`));

test('the device has a mirror, and the driver its own bytes', () => {
  const bench = new Bench();
  bench.hw.ram.view(4096, 1)[0] = 7;
  const [region] = bench.hw.machine.ram.regions;
  expect([region?.kind, region?.u8[4096]]).toEqual(['remote', 0]);
  region?.remote?.pull(4096, 1);
  expect(region?.u8[4096]).toBe(7);
});
