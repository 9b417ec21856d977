import { expect, it } from 'vitest';
import { makeImage } from './image.ts';
import { Loader } from './loader.ts';

it('loads', async () => {
  const log: string[] = [];
  const loader = new Loader({ printk: (l, t) => { log.push(`${l} ${t}`); return undefined; }, wait: async () => {}, wake: () => undefined });
  await loader.load(makeImage({ name: 'a', license: 'GPL', exports: ['f'], module_init: () => ({ ksymtab: { f: 1 }, module_exit() {} }) }));
  expect(loader.modules().map((m) => m.name)).toEqual(['a']);
  await loader.unload('a');
  expect(loader.residue()).toEqual([]);
});
