import { describe, expect, test } from 'vitest';
import { parseErrors, renderErrors } from './page.ts';
import { bestReach, mergeRecord } from './record.ts';
import { collectMet } from './reporter.ts';
import { RULES_META } from './meta.ts';

const parts = [{ title: 'Things', rules: [
  { id: 'm.a', says: 'One | two.', remedy: 'Do it.', linux: 'a/b.c f' }, { id: 'm.b', says: 'Three.', remedy: 'Do.', linux: '-' },
] }];
const site = (rule: string, ...errnos: string[]) => ({ rule, errnos, file: 'modules/m/src/a.ts', line: 1 });

describe('the page of errors', () => {
  const page = renderErrors({ parts, sites: [site('m.a', 'EIO'), site('m.a', 'EBUSY'), site('m.b'), site('m.new', 'EPERM')], reach: new Map([['m.a', { file: 'x.test.ts', test: 'a > b | c' }]]) });

  test('has a row for each rule, and says which have no test and which no entry', () => {
    expect(page).toContain('| `m.a` | EBUSY, EIO | One \\| two. | Do it. | `a/b.c f` | `x.test.ts`: a > b \\| c |');
    expect(page).toContain('| `m.b` | as given | Three. | Do. | - | no test |');
    expect(page).toContain('- `m.b`');
    expect(page).toContain('- `m.new`');
  });

  test('is read back as it was written', () => {
    expect(Object.fromEntries(parseErrors(page))).toEqual({
      'm.a': { errnos: 'EBUSY, EIO', reach: { file: 'x.test.ts', test: 'a > b | c' } }, 'm.b': { errnos: 'as given', reach: null },
    });
  });
});

describe('the record', () => {
  const module = (file: string, tests: readonly [string, string, Record<string, string> | undefined][]) => ({
    moduleId: `/root/${file}`,
    children: { allTests: () => tests.map(([fullName, state, rules]) => ({ fullName, meta: () => ({ [RULES_META]: rules }), result: () => ({ state }) })) },
  });

  test('keeps what passed tests met', () => {
    expect(collectMet('/root', [module('a.test.ts', [['t', 'passed', { 'm.b': 'EIO', 'm.a': 'EIO' }], ['f', 'failed', { 'm.c': 'EIO' }], ['n', 'passed', undefined]])]))
      .toEqual({ files: { 'a.test.ts': [{ test: 't', rules: ['m.a', 'm.b'] }] } });
  });

  test('replaces files that ran, and forgets files that are gone', () => {
    const before = { files: { a: [{ test: 't', rules: ['m.a'] }], b: [{ test: 't', rules: ['m.b'] }], c: [{ test: 't', rules: ['m.c'] }] } };
    expect(mergeRecord(before, { files: { a: [] } }, (file) => file !== 'c')).toEqual({ files: { b: [{ test: 't', rules: ['m.b'] }] } });
  });

  test('names for a rule the test of its package that is most about it', () => {
    const record = { files: {
      'modules/m/src/a.test.ts': [{ test: 'broad', rules: ['m.a', 'm.b'] }, { test: 'narrow', rules: ['m.a'] }], 'test/src/x.test.ts': [{ test: 'far', rules: ['m.b'] }, { test: 'only', rules: ['m.c'] }],
    } };
    const best = bestReach(record, new Map([['m.a', ['modules/m']], ['m.b', ['modules/m']]]));
    expect(Object.fromEntries([...best].map(([rule, { test: name }]) => [rule, name]))).toEqual({ 'm.a': 'narrow', 'm.b': 'broad', 'm.c': 'only' });
  });
});
