import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { deviceLoops } from './template/device.ts';
import { driverLoops } from './template/driver.ts';
import { packedLoops } from './template/packed.ts';

const REMEDY = 'build, then run node tools/vring/dist/fused/template/write.js';

test('the fused loops are what their templates say', () => {
  expect(readFileSync(new URL('driver.ts', import.meta.url), 'utf8'), REMEDY).toBe(driverLoops());
  expect(readFileSync(new URL('device.ts', import.meta.url), 'utf8'), REMEDY).toBe(deviceLoops());
  expect(readFileSync(new URL('packed.ts', import.meta.url), 'utf8'), REMEDY).toBe(packedLoops());
});
