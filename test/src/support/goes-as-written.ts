/** Scenarios that are transcripts: each command of one prints what is written there, in any order of events. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runTranscript } from '@vdpalab/cli';
import { coversTranscript } from '@vdpalab/testing';
import { expect, it } from 'vitest';

/** Path of a scenario. @param name without folder and extension */
export const scenarioPath = (name: string): string => fileURLToPath(new URL(`../../scenarios/${name}.txt`, import.meta.url));

/** Register the tests of a scenario: it goes as written under every seed, and leaves nothing behind. */
export function goesAsWritten(name: string, title = `${name} goes as written`): void {
  const path = scenarioPath(name);
  it.each([1, 7, 42])(`${title}, seed %i`, async (seed) => {
    coversTranscript(readFileSync(path, 'utf8'));
    let text = '';
    const { commands, equal, left } = await runTranscript(path, { seed, out: (t) => void (text += t), err: () => undefined });
    expect(text.match(/^.*\.txt:\d+: \$ .*$/gm) ?? []).toEqual([]);
    expect({ differs: commands - equal, left }).toEqual({ differs: 0, left: [] });
  });
}
