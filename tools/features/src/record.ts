/** The record of a test run: which passed test claims which rows. Kept in `out/features.json`. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Where the record is kept, relative to the workspace root. */
export const RECORD_FILE = 'out/features.json';

/** One passed test and the rows it claims. */
export interface Claim {
  /** Full name of the test, its suites included. */
  readonly test: string;
  /** Row ids, sorted and without repetition. */
  readonly rows: readonly string[];
}

/** Claims by test file, paths relative to the workspace root. */
export interface FeatureRecord {
  readonly files: Readonly<Record<string, readonly Claim[]>>;
}

/**
 * The record after a run: files that ran replace what was known of them, files that no longer exist go.
 *
 * @param exists whether a test file, given relative to the root, is still there
 */
export function mergeRecord(before: FeatureRecord, run: FeatureRecord, exists: (file: string) => boolean): FeatureRecord {
  const files: Record<string, readonly Claim[]> = {};
  for (const [file, claims] of Object.entries({ ...before.files, ...run.files }).sort(byKey)) {
    if (claims.length > 0 && exists(file)) files[file] = claims;
  }
  return { files };
}

/** Read the record of earlier runs; empty where there is none. */
export function readRecord(root: string): FeatureRecord {
  const file = join(root, RECORD_FILE);
  if (!existsSync(file)) return { files: {} };
  return JSON.parse(readFileSync(file, 'utf8')) as FeatureRecord; // written by writeRecord only
}

/** Write the record in one step, so that a reader never sees half of it. */
export function writeRecord(root: string, record: FeatureRecord): void {
  const file = join(root, RECORD_FILE);
  mkdirSync(dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(record, null, 1)}\n`);
  renameSync(draft, file);
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
