/**
 * A program that serves a lab, for tests that kill it or bring it to a standstill: `node server.js DIR PATIENCE [WHAT [READER]]`.
 *
 * Prints `serving` when it is mounted, and then how it ended. With `stat` or `spin` it stops answering when it gets SIGUSR2.
 */
import { statSync } from 'node:fs';
import { createLab } from '@vdpalab/lab';
import { mountLab } from '../mount-lab.ts';
import type { ReaderKind } from '../reader.ts';

const [dir = '', patience = '1', what = '', reader] = process.argv.slice(2);
const lab = await createLab({ clock: 'paced' });
const mounted = await mountLab(lab, dir, { patience: Number(patience), ...(reader === undefined ? {} : { reader: reader as ReaderKind }) });
process.on('SIGTERM', () => {
  mounted.unmount().catch((error: unknown) => console.log(String(error)));
});
process.on('SIGUSR2', () => {
  try {
    if (what === 'stat') statSync(`${dir}/sys`); // waits for this very thread
    for (const start = Date.now(); what === 'spin' && Date.now() - start < Number(patience) * 3000;);
  } catch (error) {
    console.log((error as NodeJS.ErrnoException).code);
  }
});
console.log('serving');
await mounted.closed;
console.log('closed');
console.log(JSON.stringify(await lab.close()));
