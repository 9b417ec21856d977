import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runTranscript } from '@vdpalab/cli';
import { coversTranscript } from '@vdpalab/testing';
import { expect, it } from 'vitest';

it.each(['sf', 'sf-vdpa'].flatMap((name) => [1, 7, 42].map((seed) => [name, seed] as const)))('subfunctions come and go as devlink says: %s, seed %i', async (name, seed) => {
  const scenario = fileURLToPath(new URL(`../../scenarios/${name}.txt`, import.meta.url));
  coversTranscript(readFileSync(scenario, 'utf8'));
  let text = '';
  const { commands, equal, left } = await runTranscript(scenario, { seed, out: (t) => void (text += t), err: () => undefined });
  expect(text.match(/^.*\.txt:\d+: \$ .*$/gm) ?? []).toEqual([]);
  expect({ differs: commands - equal, left }).toEqual({ differs: 0, left: [] });
});
