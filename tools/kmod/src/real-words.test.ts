/** What the small programs of kmod 30 say, beside ours, without a module in sight. */
import { covers } from '@vdpalab/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { present, RealTree } from './real-kmod.ts';

describe.runIf(present)('the words of kmod 30', () => {
  let real: RealTree;
  beforeAll(() => {
    real = new RealTree({ modules: [], builtin: [], order: null }, '9.9.9-none');
    real.write();
  });
  afterAll(() => real.close());

  test.each([
    'insmod', 'insmod -h', 'insmod -V', 'insmod -h -z', 'insmod -z', 'insmod -z -h', 'insmod -p -h', 'insmod -s -h', 'insmod -v', 'insmod -f -h', 'insmod --force', 'insmod -s', 'insmod --help', 'insmod --version',
    'rmmod', 'rmmod -h', 'rmmod -V', 'rmmod -h -z', 'rmmod -z', 'rmmod -w', 'rmmod -w -h', 'rmmod -h -w', 'rmmod -z -w', 'rmmod --wait', 'rmmod --force -h', 'rmmod --syslog', 'rmmod -s', 'rmmod -v', 'rmmod --help',
    'lsmod x', 'lsmod -h', 'kmod', 'kmod -h', 'kmod -V', 'kmod help', 'kmod help x', 'kmod nosuch', 'kmod insmod', 'kmod list x', 'kmod -z', 'kmod --bogus', 'kmod -V x',
    'kmod static-nodes -h', 'kmod static-nodes -z', 'kmod static-nodes -f', 'kmod static-nodes -f x', 'kmod static-nodes --format=x', 'kmod static-nodes -f human -h',
  ])('%s', async (line) => {
    covers('2.14.22');
    const theirs = real.real(line);
    expect({ line, ...await real.ours(line) }).toEqual({ line, ...theirs });
  });

  test('list device nodes in three formats', async () => {
    real.sys.files.set('/lib/modules/9.9.9-none/modules.devname', '# Device nodes\nvfio vfio/vfio c10:196\nloop loop-control c10:237\nfoo blk b7:3\n');
    expect((await real.ours('kmod static-nodes')).stdout).toContain('Module: foo\n\tDevice node: /dev/blk\n\t\tType: block device\n\t\tMajor: 7\n\t\tMinor: 3\n');
    expect((await real.ours('kmod static-nodes -f tmpfiles')).stdout).toBe('d /dev/vfio 0755 - - -\nc! /dev/vfio/vfio 0600 - - - 10:196\nc! /dev/loop-control 0600 - - - 10:237\nb! /dev/blk 0600 - - - 7:3\n');
    expect(await real.ours('kmod static-nodes -o /nodes --format=devname')).toEqual({ stdout: '', stderr: '', status: 0 });
    expect(real.sys.files.get('/nodes')).toBe('vfio vfio/vfio c10:196\nloop loop-control c10:237\nfoo blk b7:3\n');
    real.sys.files.delete('/lib/modules/9.9.9-none/modules.devname');
    expect((await real.ours('kmod static-nodes')).stderr).toBe('Warning: /lib/modules/9.9.9-none/modules.devname not found - ignoring\n');
  });
});
