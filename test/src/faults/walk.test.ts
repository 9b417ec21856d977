/** The walk itself: it finds what a careless module leaves behind, and what does not work afterwards. */
import { defineModule } from '@vdpalab/abi';
import type { Lab } from '@vdpalab/lab';
import { makeImage } from '@vdpalab/loader';
import { expect, test } from 'vitest';
import { stage, strike } from './scenes.ts';
import { walk, type Scene } from './walk.ts';

/** A module that makes two directories in /sys. @param careful whether the first goes when the second is refused */
function twoDirectories(careful: boolean) {
  return makeImage(defineModule({
    name: 'two', license: 'GPL', imports: ['kernfs_create_dir', 'kernfs_remove', 'sysfs_root'],
    async module_init(k, { undo }) {
      const first = k.kernfs_create_dir(k.sysfs_root, 'first');
      if (careful) undo.push('first', () => k.kernfs_remove(first));
      const second = k.kernfs_create_dir(k.sysfs_root, 'second');
      return {
        ksymtab: {},
        module_exit: () => {
          k.kernfs_remove(second);
          if (!careful) k.kernfs_remove(first);
        },
      };
    },
  }));
}

function loadingIt(careful: boolean): Scene {
  return {
    name: 'insmod two', atomic: true,
    act: (lab: Lab) => lab.user(async () => void (await lab.loader.load(twoDirectories(careful)))),
    undo: (lab: Lab) => lab.user(async () => {
      if (lab.loader.find_module('two') !== null) await lab.loader.unload('two');
    }),
  };
}

test('finds a directory that a module leaves when its second step is refused', async () => {
  const lab = await stage([], 0);
  const { residues } = await walk(lab, loadingIt(false));
  expect(residues).toContainEqual(expect.stringMatching(/two: init > kernfs_create_dir = ENOMEM\): left behind: \/sys\/first$/));
  expect(residues).toContainEqual(expect.stringMatching(/does not work afterwards: KernelError \/sys: first exists/));
  await strike(lab);
});

test('finds nothing in a module that gives back what it took', async () => {
  const lab = await stage([], 0);
  const { steps, residues } = await walk(lab, loadingIt(true));
  expect(residues).toEqual([]);
  expect(steps).toBeGreaterThan(20);
  expect(await strike(lab)).toEqual([]);
});
