/** Which rows are shown and which are not: as text for the terminal and as docs/reference/features.md. */
import { partTitles } from './table.ts';
import type { FeatureRecord } from './record.ts';
import type { FeatureRow, Priority } from './table.ts';

/** A test that shows a row. */
export interface Showing {
  readonly file: string;
  readonly test: string;
}

/** A row with the tests that show it. */
export interface RowReport {
  readonly row: FeatureRow;
  readonly shownBy: readonly Showing[];
}

/** Join table and record, in table order; tests by file and name. */
export function reportRows(table: readonly FeatureRow[], record: FeatureRecord): RowReport[] {
  const shown = new Map<string, Showing[]>();
  for (const [file, claims] of Object.entries(record.files)) {
    for (const { test, rows } of claims) {
      for (const id of rows) shown.set(id, [...(shown.get(id) ?? []), { file, test }]);
    }
  }
  const text = (s: Showing): string => `${s.file}: ${s.test}`;
  return table.map((row) => ({
    row,
    shownBy: (shown.get(row.id) ?? []).sort((a, b) => (text(a) < text(b) ? -1 : 1)),
  }));
}

/** One line per part: rows shown of all, by priority; below it the ids that no test shows. */
export function renderSummary(reports: readonly RowReport[]): string {
  const lines = [`${'part'.padEnd(44)}${priorities.map((p) => `priority ${p}`.padStart(12)).join('')}`];
  for (const [part, group] of byPart(reports)) {
    lines.push(`${`${part} ${partTitles[part]}`.padEnd(44)}${counts(group)}`);
    for (const p of priorities) {
      const missing = group.filter((r) => r.row.priority === p && r.shownBy.length === 0);
      if (missing.length > 0) lines.push(...wrap(`  not shown, ${p}:`, missing.map((r) => r.row.id)));
    }
  }
  lines.push(`${'all'.padEnd(44)}${counts(reports)}`);
  return `${lines.join('\n')}\n`;
}

/** The reference page. */
export function renderPage(reports: readonly RowReport[]): string {
  const shown = reports.filter((r) => r.shownBy.length > 0).length;
  const out = [
    '# Features',
    '',
    'Written by `npm run features` from the table in `tools/features` and the last full test run: do not edit.',
    'A row counts as shown while a passing test claims it with `covers()`, or a transcript that replays without a difference names it in a `# covers:` remark.',
    '',
    `${shown} of ${reports.length} rows are shown.`,
    '',
    '| part | priority 1 | priority 2 | priority 3 |',
    '|---|---|---|---|',
    ...byPart(reports).map(
      ([part, group]) => `| ${part} ${partTitles[part]} | ${priorities.map((p) => count(group, p)).join(' | ')} |`,
    ),
  ];
  for (const [part, group] of byPart(reports)) {
    out.push('', `## ${part} ${partTitles[part]}`, '', '| row | P | name | lives in | shown by |', '|---|---|---|---|---|');
    for (const { row, shownBy } of group) {
      out.push(`| ${row.id} | ${row.priority} | ${row.name} | ${row.livesIn.join(', ')} | ${showingCell(shownBy)} |`);
    }
  }
  return `${out.join('\n')}\n`;
}

const priorities: readonly Priority[] = [1, 2, 3];
/** Tests named per row on the page; further ones are counted. */
const NAMED_TESTS = 2;

function byPart(reports: readonly RowReport[]): [string, RowReport[]][] {
  const parts = new Map<string, RowReport[]>();
  for (const report of reports) parts.set(report.row.part, [...(parts.get(report.row.part) ?? []), report]);
  return [...parts];
}

function count(group: readonly RowReport[], priority: Priority): string {
  const rows = group.filter((r) => r.row.priority === priority);
  return rows.length === 0 ? '-' : `${rows.filter((r) => r.shownBy.length > 0).length}/${rows.length}`;
}

function counts(group: readonly RowReport[]): string {
  return priorities.map((p) => count(group, p).padStart(12)).join('');
}

function showingCell(shownBy: readonly Showing[]): string {
  const named = shownBy.slice(0, NAMED_TESTS).map((s) => `\`${s.file}\`: ${s.test.replaceAll('|', '\\|')}`);
  if (shownBy.length > NAMED_TESTS) named.push(`and ${shownBy.length - NAMED_TESTS} more`);
  return named.join('<br>');
}

function wrap(head: string, words: readonly string[]): string[] {
  const lines = [head];
  for (const word of words) {
    if ((lines.at(-1) ?? '').length + word.length > 100) lines.push('     ');
    lines[lines.length - 1] += ` ${word}`;
  }
  return lines;
}
