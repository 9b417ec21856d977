/** Vitest reporter that keeps which passed test met which rule. Named in vitest.config.ts. */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { RULES_META } from './meta.ts';
import { mergeRecord, readRecord, writeRecord } from './record.ts';
import type { Met, RuleRecord } from './record.ts';

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

/** Take what passed tests met from a finished run. */
export function collectMet(root: string, modules: Iterable<RunModule>): RuleRecord {
  const files: Record<string, readonly Met[]> = {};
  for (const module of modules) {
    const met: Met[] = [];
    for (const test of module.children.allTests()) {
      const rules = (test.meta() as Record<string, unknown>)[RULES_META] as Record<string, string> | undefined; // set by setup.ts alone
      if (rules !== undefined && test.result().state === 'passed') met.push({ test: test.fullName, rules: Object.keys(rules).sort() });
    }
    files[relative(root, module.moduleId)] = met;
  }
  return { files };
}

/** Writes `out/rules.json` after each run. */
export default class RulesReporter {
  #root = '.';
  #partOfFiles = false;

  /** Learn the root, and whether a name filter makes this run useless as a record. */
  onInit(vitest: { readonly config: { readonly root: string; readonly testNamePattern?: RegExp | undefined } }): void {
    this.#root = vitest.config.root;
    this.#partOfFiles = vitest.config.testNamePattern !== undefined;
  }

  /** Keep what was met. */
  onTestRunEnd(modules: Iterable<RunModule>): void {
    if (this.#partOfFiles) return;
    const run = collectMet(this.#root, modules);
    writeRecord(this.#root, mergeRecord(readRecord(this.#root), run, (file) => existsSync(join(this.#root, file))));
  }
}
