/** Loading a module, with a failure at every step: of the loader, of the module's init, of the probes it starts. */
import { builtModules } from '@vdpalab/lab';
import { covers } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import { loading, needsOf, stage, strike } from './scenes.ts';
import { walk } from './walk.ts';

const loadable = builtModules().filter((m) => !m.info.builtin).map((module) => ({ name: module.info.name, module }));

test.each(loadable)('$name is loaded whole or not at all', { timeout: 300_000 }, async ({ name, module }) => {
  if (name === 'ifcvf') covers('1.4.5');
  const lab = await stage(needsOf(module), name === 'pci_pf_stub' ? 0 : 2);
  await loading(name).undo(lab); // what it needs may name it as wanted afterwards
  const { steps, residues } = await walk(lab, loading(name));
  expect(steps).toBeGreaterThan(12); // the loader's own
  expect(residues).toEqual([]);
  expect(await strike(lab)).toEqual([]);
});
