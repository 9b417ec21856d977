/** Booting, with a failure at every step of every built-in module. */
import { isKernelError } from '@vdpalab/abi';
import { createLab, LabBootError } from '@vdpalab/lab';
import { expect, test } from 'vitest';
import { config } from './scenes.ts';

/** A rule that counts everything and fails nothing. */
const COUNT = '*:*:1000000000';

test('a boot that fails at any step takes down what had come up', { timeout: 300_000 }, async () => {
  const whole = await createLab({ config, fail: [COUNT] });
  const steps = whole.faults?.rules[0]?.seen ?? 0;
  expect(await whole.close()).toEqual([]);
  // Tables of the IOMMU for functions that are still plugged in outlive the kernel, whole boot or not.
  const machines = new Set(whole.hw.leftovers().map(({ kind, what }) => `${kind} ${what}`));
  expect(steps).toBeGreaterThan(100);
  const outcomes = { refused: 0, survived: 0 };
  const left: string[] = [];
  for (let n = 1; n <= steps; n++) {
    try {
      const lab = await createLab({ config, fail: [`*:*:${n}`] });
      outcomes.survived++;
      left.push(...(await lab.close()).map((what) => `step ${n}, survived: ${what}`));
    } catch (error) {
      if (!(error instanceof LabBootError)) throw error;
      expect(isKernelError(error.cause) && error.cause.rule).toBe('fault.injected');
      outcomes.refused++;
      left.push(...error.left.filter((what) => !machines.has(what)).map((what) => `step ${n}, ${error.message}: ${what}`));
    }
  }
  expect(left).toEqual([]);
  expect(outcomes.refused).toBeGreaterThan(0);
});
