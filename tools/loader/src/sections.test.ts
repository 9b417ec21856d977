import { expect, it } from 'vitest';
import { fakeKernel, toy } from './fake-host.ts';

const names = (list: readonly { readonly name: string }[]): string[] => list.map((s) => s.name);

it('a module has the sections of what it exports and takes, at its address, ascending', async () => {
  const { loader } = fakeKernel();
  await loader.load(toy('first'));
  const view = await loader.load(toy('second', { exports: ['plain'], exportsGpl: ['gpl'], info: { size: 20000 } }));
  const [first, second] = [loader.find_module('first'), view];
  expect(names(first?.sections ?? [])).not.toContain('__ksymtab_strings');
  expect(names(second.sections)).toEqual(expect.arrayContaining(['__ksymtab', '__kcrctab', '__ksymtab_gpl', '__kcrctab_gpl', '__ksymtab_strings', '.text']));
  expect(names(second.sections)).not.toContain('__param');
  const at = second.sections.map((s) => s.address);
  expect(at[0]).toBe(second.address);
  expect([...at].sort((a, b) => (a < b ? -1 : 1))).toEqual(at);
  expect(new Set(at).size).toBe(at.length);
});

it('an image may name its sections itself', async () => {
  const { loader } = fakeKernel();
  const view = await loader.load(toy('odd', { info: { sections: ['.text', '.altinstructions'] } }));
  expect(names(view.sections)).toEqual(['.text', '.altinstructions']);
});

it('notes say the build, and differ with it', async () => {
  const { loader } = fakeKernel();
  const a = await loader.load(toy('a', { info: { vermagic: '6.1.0-9 SMP ' } }));
  const b = await loader.load(toy('b'));
  const text = (view: typeof a, name: string): string => String.fromCharCode(...(view.notes.find((n) => n.name === name)?.bytes ?? []));
  expect(text(a, '.note.Linux')).toContain('\x06\0\0\0\x08\0\0\0\0\x01\0\0Linux\0\0\x006.1.0-9\0');
  expect(text(a, '.note.gnu.build-id')).toHaveLength(36);
  expect(text(a, '.note.gnu.build-id')).not.toBe(text(b, '.note.gnu.build-id'));
});
