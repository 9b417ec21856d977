import { describe, expect, test } from 'vitest';
import { covers, coversTranscript, transcriptRows } from './covers.ts';
import { COVERS_META } from './meta.ts';
import { mergeRecord } from './record.ts';
import { renderPage, renderSummary, reportRows } from './report.ts';
import { collectClaims } from './reporter.ts';
import { featureRows } from './table.ts';
import type { RunModule } from './reporter.ts';

/** A finished run: file -> test -> [state, claimed ids]. */
function run(files: Record<string, Record<string, readonly [state: string, ...ids: string[]]>>): RunModule[] {
  return Object.entries(files).map(([file, tests]) => ({
    moduleId: `/lab/${file}`,
    children: {
      allTests: () =>
        Object.entries(tests).map(([fullName, [state, ...ids]]) => ({
          fullName,
          meta: () => (ids.length > 0 ? { [COVERS_META]: ids } : {}),
          result: () => ({ state }),
        })),
    },
  }));
}

const shownBy = (modules: RunModule[], id: string): string[] =>
  reportRows(featureRows, collectClaims('/lab', modules).record)
    .filter((r) => r.row.id === id)
    .flatMap((r) => r.shownBy.map((s) => `${s.file}: ${s.test}`));

describe('a row', () => {
  test('is shown by the passed tests that claim it', () => {
    const modules = run({
      'modules/b/src/b.test.ts': { 'refuses x': ['passed', '2.4.9', '2.4.9'] },
      'modules/a/src/a.test.ts': { 'group > reads y': ['passed', '2.4.8', '2.4.9'], other: ['passed'] },
    });
    expect(shownBy(modules, '2.4.9')).toEqual(['modules/a/src/a.test.ts: group > reads y', 'modules/b/src/b.test.ts: refuses x']);
    expect(shownBy(modules, '2.4.7')).toEqual([]);
  });

  test('drops when the claim is removed', () => {
    expect(shownBy(run({ 'a.test.ts': { x: ['passed'] } }), '2.4.9')).toEqual([]);
  });

  test.each(['failed', 'skipped', 'pending'])('drops when its test is %s', (state) => {
    expect(shownBy(run({ 'a.test.ts': { x: [state, '2.4.9'] } }), '2.4.9')).toEqual([]);
  });

  test('of a failed file drops from an earlier record, and other files keep theirs', () => {
    const before = collectClaims('/lab', run({ 'a.test.ts': { x: ['passed', '2.4.9'] }, 'b.test.ts': { y: ['passed', '2.4.8'] } }));
    const after = collectClaims('/lab', run({ 'a.test.ts': { x: ['failed', '2.4.9'] } }));
    const merged = mergeRecord(before.record, after.record, () => true);
    expect(merged).toEqual({ files: { 'b.test.ts': [{ test: 'y', rows: ['2.4.8'] }] } });
  });

  test('of a deleted file drops', () => {
    const before = collectClaims('/lab', run({ 'a.test.ts': { x: ['passed', '2.4.9'] } }));
    expect(mergeRecord(before.record, { files: {} }, () => false)).toEqual({ files: {} });
  });
});

describe('an id without a row', () => {
  test('is reported with its test, passed or failed', () => {
    const { unknown, record } = collectClaims('/lab', run({ 'a.test.ts': { x: ['passed', '2.99.1'], y: ['failed', 'F99', '2.4.9'] } }));
    expect(unknown).toEqual(['2.99.1 (a.test.ts: x)', 'F99 (a.test.ts: y)']);
    expect(record.files['a.test.ts']).toEqual([]);
  });

  test('makes covers() throw', ({ task }) => {
    expect(() => coversTranscript('# covers: 2.99.1\n')).toThrow('no such row: 2.99.1');
    delete (task.meta as Record<string, unknown>)[COVERS_META]; // this test must not fail the real run
  });
});

describe('a transcript', () => {
  test('declares rows in remark lines', () => {
    expect(transcriptRows('# covers: 1.5.1 1.5.2\n$ ls\nx\n#covers: 1.5.3\n$ echo "# covers: 9"\n# covers: F3, 1.5.4\n')).toEqual([
      '1.5.1',
      '1.5.2',
      'F3',
      '1.5.4',
    ]);
  });

  test('without remarks claims nothing', ({ task }) => {
    expect(coversTranscript('$ ls\n')).toEqual([]);
    expect(task.meta).toEqual({});
  });
});

test('covers() puts its claims where the reporter finds them', ({ task }) => {
  covers('2.4.9');
  covers('2.4.8', '2.4.9');
  const meta = task.meta as Record<string, unknown>;
  expect(meta[COVERS_META]).toEqual(['2.4.9', '2.4.8', '2.4.9']);
  delete meta[COVERS_META]; // the rows are not shown here
});

describe('the table', () => {
  test('has each id once, within its part', () => {
    expect(new Set(featureRows.map((r) => r.id)).size).toBe(featureRows.length);
    expect(featureRows.filter((r) => !/^(F|[123]\.\d+)$/.test(r.part))).toEqual([]);
    expect(featureRows.length).toBe(476);
  });
});

describe('the report', () => {
  const reports = reportRows(featureRows, collectClaims('/lab', run({ 'a.test.ts': { 'a|b': ['passed', 'F3', '2.4.29'] } })).record);

  test('counts shown rows by part and priority and names the others', () => {
    const lines = renderSummary(reports).split('\n');
    expect(lines.find((l) => l.startsWith('F '))).toMatch(/^F Acceptance scenarios +1\/24 +- +-$/);
    expect(lines.find((l) => l.startsWith('2.4 '))).toMatch(/ 0\/33 +0\/2 +1\/1$/);
    expect(renderSummary(reports)).toContain('  not shown, 2: 2.4.18 2.4.30\n');
  });

  test('links each row of the page to its test', () => {
    expect(renderPage(reports)).toContain('| F3 | 1 | The sysfs session | test | `a.test.ts`: a\\|b |\n');
  });
});
