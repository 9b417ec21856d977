/** `npm run docs [-- --check]`: write the generated pages, or say which are not current. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stalePages } from './index.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const stale = stalePages(root);
if (process.argv.includes('--check')) {
  for (const path of stale.keys()) process.stderr.write(`${path} is not current: npm run docs\n`);
  process.exitCode = stale.size === 0 ? 0 : 1;
} else {
  for (const [path, text] of stale) {
    writeFileSync(join(root, path), text);
    process.stdout.write(`${path}\n`);
  }
}
