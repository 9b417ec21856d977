/** The record of test runs: which passed test met which rule. Kept in `out/rules.json`. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Where the record is kept, relative to the workspace root. */
export const RECORD_FILE = 'out/rules.json';

/** One passed test and the rules that refused while it ran. */
export interface Met {
  /** Full name of the test, its suites included. */
  readonly test: string;
  /** Rule ids, sorted. */
  readonly rules: readonly string[];
}

/** By test file, paths relative to the workspace root. */
export interface RuleRecord {
  readonly files: Readonly<Record<string, readonly Met[]>>;
}

/** A test that reaches a rule. */
export interface Reach {
  readonly file: string;
  readonly test: string;
}

/**
 * The record after a run: files that ran replace what was known of them, files that no longer exist go.
 *
 * @param exists whether a test file, given relative to the root, is still there
 */
export function mergeRecord(before: RuleRecord, run: RuleRecord, exists: (file: string) => boolean): RuleRecord {
  const files: Record<string, readonly Met[]> = {};
  const all = { ...before.files, ...run.files };
  for (const file of Object.keys(all).sort()) {
    const met = all[file] ?? [];
    if (met.length > 0 && exists(file)) files[file] = met;
  }
  return { files };
}

/** Read the record of earlier runs; empty where there is none. */
export function readRecord(root: string): RuleRecord {
  const file = join(root, RECORD_FILE);
  if (!existsSync(file)) return { files: {} };
  return JSON.parse(readFileSync(file, 'utf8')) as RuleRecord; // written by writeRecord only
}

/** Write the record in one step, so that a reader never sees half of it. */
export function writeRecord(root: string, record: RuleRecord): void {
  const file = join(root, RECORD_FILE);
  mkdirSync(dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(record)}\n`);
  renameSync(draft, file);
}

/**
 * For each rule the test to name: one of the packages that have the rule where there is one, and of those the one that
 * met the fewest rules, which is the most about it; then by file and name.
 *
 * @param homes rule -> folders of the packages that refuse by it
 */
export function bestReach(record: RuleRecord, homes: ReadonlyMap<string, readonly string[]>): Map<string, Reach> {
  const best = new Map<string, Reach & { readonly rank: string }>();
  for (const [file, tests] of Object.entries(record.files)) {
    for (const { test, rules } of tests) {
      for (const rule of rules) {
        const isHome = (homes.get(rule) ?? []).some((home) => file.startsWith(`${home}/`));
        const rank = [isHome ? 0 : 1, String(rules.length).padStart(4, '0'), file, test].join(' ');
        const old = best.get(rule);
        if (old === undefined || rank < old.rank) best.set(rule, { file, test, rank });
      }
    }
  }
  return new Map([...best].map(([rule, { file, test }]) => [rule, { file, test }]));
}
