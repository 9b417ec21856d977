/** `npm run errors`: write docs/reference/errors.md with the tests of the last test runs; say which rules no test reaches. */
import { existsSync, writeFileSync } from 'node:fs';
import { errorsPage, ERRORS_PAGE, parseErrors } from './page.ts';
import { RECORD_FILE, readRecord } from './record.ts';

if (!existsSync(RECORD_FILE)) {
  console.error(`errors: ${RECORD_FILE} is missing; run "npm test" first, from the workspace root`);
  process.exitCode = 2;
} else {
  const page = errorsPage('.', readRecord('.'));
  writeFileSync(ERRORS_PAGE, page);
  const entries = [...parseErrors(page)];
  const unreached = entries.filter(([, entry]) => entry.reach === null).map(([id]) => id);
  console.log(`${entries.length} rules, ${entries.length - unreached.length} reached by a test`);
  for (const id of unreached) console.log(`  no test: ${id}`);
}
