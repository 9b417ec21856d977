/** Writes the fused loops: `node tools/vring/dist/fused/template/write.js`. A test holds the files to their templates. */
import { writeFileSync } from 'node:fs';
import { deviceLoops } from './device.ts';
import { driverLoops } from './driver.ts';
import { packedLoops } from './packed.ts';

const folder = new URL('../../../src/fused/', import.meta.url);
writeFileSync(new URL('driver.ts', folder), driverLoops());
writeFileSync(new URL('device.ts', folder), deviceLoops());
writeFileSync(new URL('packed.ts', folder), packedLoops());
