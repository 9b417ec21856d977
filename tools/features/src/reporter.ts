/** Vitest reporter that keeps the claims of passed tests. Named in vitest.config.ts. */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { COVERS_META } from './meta.ts';
import { mergeRecord, readRecord, writeRecord } from './record.ts';
import { isRowId } from './table.ts';
import type { Claim, FeatureRecord } from './record.ts';

/** The part of vitest's `TestCase` that is read here. */
export interface RunTest {
  readonly fullName: string;
  meta(): object;
  result(): { readonly state: string };
}

/** The part of vitest's `TestModule` that is read here. */
export interface RunModule {
  /** Absolute path of the test file. */
  readonly moduleId: string;
  readonly children: { allTests(): Iterable<RunTest> };
}

/** What one run claims, and the ids among it that no row has. */
export interface RunClaims {
  readonly record: FeatureRecord;
  /** `id (file: test)`, of passed and failed tests alike. */
  readonly unknown: readonly string[];
}

/** Take the claims of passed tests from a finished run. */
export function collectClaims(root: string, modules: Iterable<RunModule>): RunClaims {
  const files: Record<string, readonly Claim[]> = {};
  const unknown: string[] = [];
  for (const module of modules) {
    const file = relative(root, module.moduleId);
    const claims: Claim[] = [];
    for (const test of module.children.allTests()) {
      const ids = [...new Set(claimedIds(test))];
      unknown.push(...ids.filter((id) => !isRowId(id)).map((id) => `${id} (${file}: ${test.fullName})`));
      const rows = ids.filter(isRowId).sort();
      if (rows.length > 0 && test.result().state === 'passed') claims.push({ test: test.fullName, rows });
    }
    files[file] = claims;
  }
  return { record: { files }, unknown };
}

/** Writes `out/features.json` after each run and fails a run that claims unknown rows. */
export default class FeaturesReporter {
  #root = '.';
  #partOfFiles = false;

  /** Learn the root, and whether a name filter makes this run useless as a record. */
  onInit(vitest: { readonly config: { readonly root: string; readonly testNamePattern?: RegExp | undefined } }): void {
    this.#root = vitest.config.root;
    this.#partOfFiles = vitest.config.testNamePattern !== undefined;
  }

  /** Keep the claims; complain about unknown ids. */
  onTestRunEnd(modules: Iterable<RunModule>): void {
    const { record, unknown } = collectClaims(this.#root, modules);
    if (unknown.length > 0) {
      process.exitCode = 1;
      console.error(`features: no such row in the table:\n${unknown.map((line) => `  ${line}\n`).join('')}`);
    }
    if (this.#partOfFiles) return;
    writeRecord(this.#root, mergeRecord(readRecord(this.#root), record, (file) => existsSync(join(this.#root, file))));
  }
}

function claimedIds(test: RunTest): readonly string[] {
  const meta = test.meta() as Record<string, unknown>; // covers() alone writes under this key
  return (meta[COVERS_META] as readonly string[] | undefined) ?? [];
}
