/** How a test says which rows it shows. The reporter keeps the claim only if the test passed. */
import { TestRunner } from 'vitest';
import { COVERS_META } from './meta.ts';
import { isRowId } from './table.ts';
import type { RowId } from './table.ts';

/**
 * Claim that the running test shows these rows. Call it inside the test's body.
 *
 * @throws Error outside a test, and for an id that is not in the table
 */
export function covers(...ids: RowId[]): void {
  claim(ids);
}

/**
 * Claim the rows that a transcript declares in its remarks: `# covers: 1.5.1 1.5.2`.
 *
 * @param text the transcript
 * @returns the ids, in the order they stand
 * @throws Error outside a test, and for an id that is not in the table
 */
export function coversTranscript(text: string): RowId[] {
  const ids = transcriptRows(text);
  return ids.length > 0 ? claim(ids) : [];
}

/** Ids named by `# covers:` remarks, unchecked. */
export function transcriptRows(text: string): string[] {
  const ids: string[] = [];
  for (const [, list] of text.matchAll(/^# covers:(.*)$/gm)) {
    ids.push(...(list ?? '').split(/[\s,]+/).filter((word) => word !== ''));
  }
  return ids;
}

function claim(ids: readonly string[]): RowId[] {
  const test = TestRunner.getCurrentTest();
  if (test === undefined) throw new Error(`covers(${ids.join(', ')}): no test is running`);
  const meta = test.meta as Record<string, unknown>; // vitest's TaskMeta is open for augmentation only
  const rows = (meta[COVERS_META] ??= []) as string[];
  // Unknown ids are recorded too: the reporter fails the run for them even if this error is caught.
  rows.push(...ids);
  const unknown = ids.filter((id) => !isRowId(id));
  if (unknown.length > 0) throw new Error(`covers: no such row: ${unknown.join(', ')}`);
  return ids.filter(isRowId);
}
