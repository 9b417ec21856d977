/**
 * `npm run features [-- --check]`: print which rows are shown, and write docs/reference/features.md.
 *
 * With `--check` nothing is written: exit 1 if the page differs from the last full test run.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { RECORD_FILE, readRecord } from './record.ts';
import { renderPage, renderSummary, reportRows } from './report.ts';
import { featureRows } from './table.ts';

const PAGE = 'docs/reference/features.md';

const check = process.argv.slice(2).includes('--check');
if (!existsSync(RECORD_FILE)) {
  console.error(`features: ${RECORD_FILE} is missing; run "npm test" first, from the workspace root`);
  process.exitCode = 2;
} else {
  const reports = reportRows(featureRows, readRecord('.'));
  const page = renderPage(reports);
  if (check) {
    const stale = !existsSync(PAGE) || readFileSync(PAGE, 'utf8') !== page;
    if (stale) {
      console.error(`features: ${PAGE} does not say what the last test run showed; run "npm run features" and look at the difference`);
      process.exitCode = 1;
    }
  } else {
    process.stdout.write(renderSummary(reports));
    writeFileSync(PAGE, page);
  }
}
