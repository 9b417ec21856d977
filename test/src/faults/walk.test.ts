/** Failure at every step: nothing is left behind, and the same works afterwards. */
import { builtModules } from '@vdpalab/lab';
import { afterAll, describe, expect, test } from 'vitest';
import { covers } from '@vdpalab/features';
import { adding, binding, enablingVfs, loading, managers, needsOf, opening, release, stage } from './scenes.ts';
import { walk, type Walked } from './walk.ts';

const walked: Walked[] = [];
const modules = builtModules().filter((m) => !m.info.builtin).map((m) => ({ ...m, name: m.info.name }));

async function clean(result: Walked): Promise<void> {
  walked.push(result);
  expect(result.residues).toEqual([]);
}

describe('every step of loading', () => {
  test.each(modules)('$name', { timeout: 120_000 }, async (module) => {
    const lab = await stage(needsOf(module));
    await clean(await walk(lab, loading(module.name)));
    expect(await lab.close()).toEqual([]);
  });
});

afterAll(() => {
  const sum = (key: 'steps' | 'failures' | 'survived'): number => walked.reduce((total, w) => total + w[key], 0);
  console.log(walked.map((w) => `${w.scene}: ${w.steps} steps, ${w.failures} failures, ${w.survived} survived, ${w.residues.length} residues`).join('\n'));
  console.log(`${sum('steps')} steps, ${sum('failures')} failures, ${sum('survived')} survived`);
});
