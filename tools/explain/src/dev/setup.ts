/** Vitest set-up: each test remembers which rules refused while it ran. Named in vitest.config.ts. */
import { REFUSAL_OBSERVER, type RefusalObserver } from '@vdpalab/abi';
import { TestRunner } from 'vitest';
import { RULES_META } from './meta.ts';

const observe: RefusalObserver = ({ rule, errno }) => {
  const test = TestRunner.getCurrentTest();
  if (test === undefined) return; // a hook, or between tests
  const meta = test.meta as Record<string, unknown>; // vitest's TaskMeta is open for augmentation only
  const met = (meta[RULES_META] ??= {}) as Record<string, string>;
  met[rule] ??= errno;
};

(globalThis as { [REFUSAL_OBSERVER]?: RefusalObserver })[REFUSAL_OBSERVER] = observe;
