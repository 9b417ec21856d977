import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runTranscript } from '@vdpalab/cli';
import { coversTranscript } from '@vdpalab/testing';
import { expect, it } from 'vitest';

const scenario = fileURLToPath(new URL('../../scenarios/sf.txt', import.meta.url));

it.each([1, 7, 42])('subfunctions come and go as devlink says, seed %i', async (seed) => {
  coversTranscript(readFileSync(scenario, 'utf8'));
  let text = '';
  const { commands, equal, left } = await runTranscript(scenario, { seed, out: (t) => void (text += t), err: () => undefined });
  expect(text.match(/^.*\.txt:\d+: \$ .*$/gm) ?? []).toEqual([]);
  expect({ differs: commands - equal, left }).toEqual({ differs: 0, left: [] });
});
