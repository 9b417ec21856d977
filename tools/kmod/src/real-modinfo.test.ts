/** modinfo of kmod 30 beside ours. */
import { covers } from '@vdpalab/testing';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeModule } from './elf/index.ts';
import { present, RealTree } from './real-kmod.ts';
import { treeModule } from './tree.ts';
import type { TreeModule, TreeParam } from './tree.ts';

const param = (name: string, type: string, desc: string | null): TreeParam => ({ name, type, desc });

const modules: TreeModule[] = [
  treeModule('kernel/rk-params.ko', {
    modinfo: [['softdep', 'pre: a post: b'], ['firmware', 'rk/blob.bin'], ['alias', 'rk:type*'], ['description', 'every kind'], ['author', 'B'], ['author', 'A'], ['version', '1.2'], ['license', 'GPL'], ['depends', ''], ['retpoline', 'Y'], ['name', 'rk_params'], ['vermagic', '6.1.0-t SMP modversions ']],
    params: [param('b', 'bool', 'a bool'), param('i', 'int', 'an int'), param('u', 'uint', null), param('lim', '', '0..10'), param('odd', 'array of int', 'x: y')],
  }),
  treeModule('kernel/long.ko', { modinfo: [['a_key_of_22_characters', 'v'], ['exactly_15_chars', 'v'], ['empty', ''], ['alias', 'rk:*2'], ['license', 'GPL']] }),
  treeModule('kernel/odd.ko', { modinfo: [['parm', 'bad'], ['license', 'GPL'], ['parmtype', 'x:int'], ['parmtype', 'alsobad'], ['noequals', '']] }),
  treeModule('kernel/none.ko', { modinfo: [] }),
];

describe.runIf(present)('like modinfo 30', () => {
  let real: RealTree;
  beforeAll(() => {
    real = new RealTree({
      modules, order: null,
      builtin: [{ path: 'kernel/fs/bu-ilt.ko', name: 'bu_ilt', modinfo: [['license', 'GPL'], ['alias', 'fs-bu*'], ['parm', 'x:an x'], ['parmtype', 'x:int'], ['parmtype', 'y:int'], ['author', 'C']], exports: [] }],
    });
    const put = (name: string, contents: string | Uint8Array): unknown => real.sys.files.set(`${real.root}/${name}`, contents);
    const bytes = real.sys.files.get(`${real.sys.dirname}/kernel/rk-params.ko`) as Uint8Array;
    put('plain.ko', bytes);
    put('bad.ko', 'hello world');
    put('short.ko', 'h');
    put('empty.ko', '');
    put('cut.ko', bytes.subarray(0, 500));
    put('note', bytes);
    put('modprobe.d/t.conf', 'alias mine long\nalias two rk_params\nalias two long\nalias gone nowhere\n');
    real.write();
  });
  afterAll(() => real.close());

  const tree = '-b @ -k 6.1.0-t';
  test.each([
    `modinfo ${tree} rk_params`, `modinfo ${tree} rk-params long`, `modinfo ${tree} odd`, `modinfo ${tree} none`, `modinfo ${tree} rk:type2`, `modinfo ${tree} bu-ilt`, `modinfo ${tree} fs-bux`,
    `modinfo ${tree} nowhere`, `modinfo ${tree} nowhere long`, `modinfo ${tree} -m rk-params`, `modinfo ${tree} -m nowhere`, `modinfo ${tree} -m rk:type2`, `modinfo ${tree} -m bu_ilt`,
    ...['license', 'parm', 'alias', 'author', 'filename', 'name', 'nothing', 'parmtype', 'depends'].flatMap((f) => [`modinfo ${tree} -F ${f} rk_params`, `modinfo ${tree} -F ${f} bu_ilt`]),
    ...['a', 'd', 'l', 'p', 'n', '0', '0p', 'pn', 'al', '0n'].map((o) => `modinfo ${tree} -${o} rk_params long`),
    `modinfo ${tree} -p odd`, `modinfo ${tree} -0 bu_ilt`, `modinfo ${tree} --field=license --null long`, `modinfo ${tree} --parameters rk_params`, `modinfo ${tree} -l -F author rk_params`,
    'modinfo @/plain.ko', 'modinfo plain.ko', 'modinfo ./plain.ko', 'modinfo @/bad.ko', 'modinfo @/short.ko', 'modinfo @/empty.ko', 'modinfo @/cut.ko', 'modinfo @/note', 'modinfo @/none.ko', 'modinfo @', 'modinfo @/lib',
    'modinfo @/bad.ko @/plain.ko', `modinfo ${tree} -n @/plain.ko`, `modinfo ${tree} @/lib/modules/6.1.0-t/kernel/long.ko`,
    'modinfo -b @ -k 9.9.9 long', 'modinfo -b @ -k 9.9.9 @/plain.ko', 'modinfo', 'modinfo -z', 'modinfo --nothing', 'modinfo -F', 'modinfo -V', 'modinfo -h', 'modinfo --fi x', 'modinfo --file x', `modinfo ${tree} ]`, `modinfo ${tree} rk[params`,
  ])('%s', async (line) => {
    const theirs = real.real(line);
    expect({ line, ...await real.ours(line) }).toEqual({ line, ...theirs });
  });

  test('over any fields, for both word sizes and byte orders', { timeout: 60_000 }, async () => {
    covers('2.14.23');
    const key = fc.stringMatching(/^[a-z_]{1,20}$/);
    const value = fc.stringMatching(/^[ -~]{0,20}$/);
    const fields = fc.array(fc.tuple(fc.oneof(key, fc.constantFrom('parm', 'parmtype', 'alias')), fc.oneof(value, fc.stringMatching(/^[ab]:[ -~]{0,6}$/))), { maxLength: 8 });
    const target = fc.record({ bits: fc.constantFrom(32 as const, 64 as const), little: fc.boolean(), machine: fc.constantFrom(3, 8, 21, 62) });
    await fc.assert(fc.asyncProperty(fields, target, async (modinfo, to) => {
      real.sys.files.set(`${real.root}/any.ko`, writeModule(treeModule('any.ko', { modinfo }), { package: null }, to));
      real.write();
      for (const line of ['modinfo @/any.ko', 'modinfo -0 @/any.ko', 'modinfo -p @/any.ko']) {
        const theirs = real.real(line);
        expect({ line, ...await real.ours(line) }).toEqual({ line, ...theirs });
      }
    }), { numRuns: 40 });
  });
});
