/** `node test/dist/real/guest/main.js FILE`: write a guest's initramfs, for a QEMU of one's own. */
import { writeFileSync } from 'node:fs';
import { initramfs, missing } from './image.ts';

const file = process.argv[2];
const absent = missing();
if (file === undefined || absent !== null) {
  process.stderr.write(`${file === undefined ? 'usage: main.js FILE' : `missing: ${absent}`}\n`);
  process.exitCode = 2;
} else {
  writeFileSync(file, initramfs());
}
