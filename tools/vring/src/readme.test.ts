import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import * as vring from './index.ts';

test('the example of the README does what its comments say', () => {
  const text = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const code = /```ts\n([^]*?)```/.exec(text)![1];
  const [imports, ...lines] = code.split('\n').filter((line) => line !== '');
  const names = /\{(.*)\}/.exec(imports)![1];
  const body = `const {${names}} = vring;\n${lines.join('\n')}\nreturn { kick, interrupt, driver, batch };`;
  // eslint-disable-next-line no-new-func
  const run = new Function('vring', body.replace('driver.get();', 'const token = driver.get();').replace('return {', 'return { token,'));
  const { token, kick, interrupt, driver, batch } = run(vring) as {
    token: number; kick: boolean; interrupt: boolean; driver: vring.SplitDriver; batch: vring.ChainBatch;
  };
  expect([token, driver.usedLength, kick, interrupt, batch.count]).toEqual([7, 1, true, true, 1]);
});
