import { covers } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { configErrorText, configText, isBlacklisted, mergeConfigDirs, optionsFor, parseConfig } from './config.ts';
import { FakeSystem } from './fake-system.ts';
import { fnmatch } from './fnmatch.ts';
import { lookup } from './lookup.ts';
import { ModuleIndex } from './modindex.ts';
import { isModuleFile, moduleName, normalizeAlias } from './names.ts';
import { recordedTree } from './recorded.ts';
import { readConfig, readIndex } from './system.ts';
import { treeModule } from './tree.ts';

const conf = (text: string, cmdline = '') => parseConfig([{ path: '/etc/modprobe.d/t.conf', text }], cmdline);

describe('names', () => {
  it('of modules are cut at the first dot and spelled with _', () => {
    expect(['a-b.ko.xz', 'x/y/foo.bar.ko', 'vdpa', 'VFIO-pci.ko'].map(moduleName)).toEqual(['a_b', 'foo', 'vdpa', 'VFIO_pci']);
    expect(['a.ko', 'a.ko.zst', '.ko', 'a.o', 'a.ko.bz2'].map(isModuleFile)).toEqual([true, true, false, false, false]);
  });

  it('of aliases keep - between brackets and need balanced ones', () => {
    expect(normalizeAlias('a-b[c-d]e-f')).toBe('a_b[c-d]e_f');
    expect([']', 'a[b', '[]a]', '[[:digit:]]'].map(normalizeAlias)).toEqual([null, null, null, null]);
  });
});

describe('wildcards', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['*', '', true], ['*', 'a/b', true], ['a*c', 'abbc', true], ['a*c', 'abbcd', false], ['?', '', false], ['a?c', 'a/c', true],
    ['[a-c]x', 'bx', true], ['[!a-c]x', 'bx', false], ['[^a-c]x', 'dx', true], ['[]]', ']', true], ['[a', '[a', true], ['\\*', '*', true], ['\\*', 'a', false],
    ['[[:digit:]]', '7', true], ['[[:digit:]]', 'x', false], ['*a*b*c', 'xxaxxbxxc', true], ['*a*b*c', 'xxaxxcxxb', false], ['', '', true], ['', 'a', false],
    ['pci:v00001AF4d*sv*sd*bc*sc*i*', 'pci:v00001AF4d00001041sv00008086sd0000001Abc02sc00i00', true], ['[a-]', '-', true], ['a**', 'a', true],
  ];
  for (const [pattern, text, expected] of cases) {
    it(`${pattern} ${expected ? 'matches' : 'does not match'} '${text}'`, () => expect(fnmatch(pattern, text)).toBe(expected));
  }

  it('do not take for ever', () => {
    expect(fnmatch(`${'*a'.repeat(30)}b`, 'a'.repeat(200))).toBe(false);
  });
});

describe('modprobe.d', () => {
  it('is read line by line with joins, tabs and comments at the line start only', () => {
    covers('2.14.21');
    const c = conf('# comment\n  # indented\noptions a-b \\\n  x=1\ty=2\n\nalias x-* y-z\nblacklist bad-one\ninstall m  echo  a b\nsoftdep s gcm pre: p1 p2 post: q\nsoftdep cifs gcm\nweakdep w v\nremove r cmd');
    expect(c.options).toMatchObject([{ module: 'a_b', text: '  x=1 y=2', line: 4 }]);
    expect(c.aliases).toMatchObject([{ pattern: 'x_*', module: 'y_z' }]);
    expect(isBlacklisted(c, 'bad_one')).toBe(true);
    expect(c.installs).toMatchObject([{ module: 'm', text: ' echo  a b' }]);
    expect(c.softdeps.map((s) => [s.module, s.pre, s.post])).toEqual([['s', ['p1', 'p2'], ['q']], ['cifs', [], []]]);
    expect(c.weakdeps).toMatchObject([{ module: 'w', deps: ['v'] }]);
    expect(c.removes).toMatchObject([{ module: 'r', text: 'cmd' }]);
    expect(c.errors.map(configErrorText)).toEqual([
      "libkmod: ERROR ../libkmod/libkmod-config.c:712 kmod_config_parse: /etc/modprobe.d/t.conf line 2: ignoring bad line starting with '#'",
      "libkmod: ERROR ../libkmod/libkmod-config.c:712 kmod_config_parse: /etc/modprobe.d/t.conf line 11: ignoring bad line starting with 'weakdep'",
    ]);
  });

  it('tells each bad line with its place and goes on', () => {
    const c = conf('bogus directive\noptions\nblacklist\nalias x\nalias [ y\nsoftdep s\noptions m a=1');
    expect(c.errors.map((e) => `${e.line} ${e.word}`)).toEqual(['1 bogus', '2 options', '3 blacklist', '4 alias', '5 alias', '6 softdep']);
    expect(c.options).toHaveLength(1);
  });

  it('gives options to a module by name or by the alias it was reached by, in order', () => {
    const c = conf('options m a=1\noptions al b=2\noptions other c=3\noptions m d=4');
    expect(optionsFor(c, 'm', 'al')).toBe('a=1 b=2 d=4');
    expect(optionsFor(c, 'm', null)).toBe('a=1 d=4');
    expect(optionsFor(c, 'none', null)).toBeNull();
  });

  it('takes parameters and blacklists from the kernel command line, after the files', () => {
    covers('2.14.21');
    const c = conf('options m a=1', 'quiet root=/dev/sda1 m.b=2 "m.p=a b" m-x.q="c d" n.flag x.y.z=1 a=b.c modprobe.blacklist=u,v-w modprobe.other=1 [.p=1');
    expect(c.options.map((o) => `${o.module}: ${o.text}`)).toEqual(['m: a=1', 'm: b=2', 'm: p="a b"', 'm_x: q="c d"', 'n: flag', 'modprobe: other=1']);
    expect(c.blacklists.map((b) => b.module)).toEqual(['u', 'v-w']);
    expect(c.errors).toMatchObject([{ file: '/proc/cmdline', word: '[' }]);
  });

  it('of several directories is merged by file name, the first directory winning', () => {
    covers('2.14.21');
    const dirs = [
      { dir: '/etc/modprobe.d', names: ['b.conf', 'notes.txt', '.x.conf'] }, { dir: '/run/modprobe.d', names: ['a.conf', 'b.conf'] },
      { dir: '/lib/modprobe.d', names: ['z.conf', 'a.conf'] },
    ];
    expect(mergeConfigDirs([...dirs, { dir: '/lib/modules/6.1', file: 'modules.softdep' }])).toEqual([
      '/run/modprobe.d/a.conf', '/etc/modprobe.d/b.conf', '/lib/modules/6.1/modules.softdep', '/lib/modprobe.d/z.conf',
    ]);
  });

  it('has the tree\'s own softdeps in their place among the file names, so that only some files beat them', async () => {
    const tree = { modules: [treeModule('m.ko', { softdeps: ['pre: own'] })], builtin: [], order: null };
    for (const [file, winner] of [['a.conf', 'mine'], ['z.conf', 'own']] as const) {
      const sys = new FakeSystem(tree);
      sys.files.set(`/etc/modprobe.d/${file}`, 'softdep m pre: mine\n');
      expect((await readConfig(sys, sys.dirname)).softdeps[0]?.pre).toEqual([winner]);
    }
  });

  it('is dumped in the order of sections', () => {
    const c = conf('softdep s pre: a post: b\noptions m x=1\nalias w m\ninstall i c\nblacklist b\nremove r c');
    expect(configText(c)).toBe('blacklist b\ninstall i c\nremove r c\nalias w m\noptions m x=1\nsoftdep s pre: apost: b\n');
  });
});

describe('a lookup', () => {
  const index = ModuleIndex.ofTexts('/lib/modules/6.1', {
    dep: 'k/virtio_pci.ko:\nk/ifcvf.ko: k/vdpa.ko\nk/vdpa.ko:\nk/fs-x.ko:\n', symbols: '# c\nalias symbol:vdpa_f vdpa\n',
    alias: 'alias pci:v1* ifcvf\nalias pci:v1d2* virtio_pci\nalias vdpa-core vdpa\nalias [bad ifcvf\n',
    builtin: 'kernel/mm/mm.ko\n/odd.ko\n', builtinModinfo: 'mm.license=GPL\0mm.alias=mem-*\0mm.alias=[x\0',
  });
  const find = (name: string, text = ''): string[] => lookup(name, index, conf(text)).map((f) => `${f.module} ${f.alias ?? '-'}`);

  it('ends at the first stage that finds anything', () => {
    covers('2.14.21');
    expect(find('vdpa')).toEqual(['vdpa -']);
    expect(find('fs-x')).toEqual(['fs_x -']);
    expect(find('vdpa', 'alias vd* ifcvf\nalias vdpa gone')).toEqual(['ifcvf vd*', 'gone vdpa']);
    expect(find('symbol:vdpa_f')).toEqual(['vdpa symbol:vdpa_f']);
    expect(find('hook', 'install hook echo')).toEqual(['hook -']);
    expect(find('hook', 'remove hook echo')).toEqual(['hook -']);
    expect(find('pci:v1d2x')).toEqual(['virtio_pci pci:v1d2x', 'ifcvf pci:v1d2x']);
    expect(find('vdpa_core')).toEqual(['vdpa vdpa_core']);
    expect(find('mm')).toEqual(['mm -']);
    expect(find('mem-1')).toEqual(['mm mem_1']);
    expect(find('nothing')).toEqual([]);
    expect(find('bad]')).toEqual([]);
  });

  it('dumps both indexes in key order', () => {
    expect(index.dump()).toEqual(['alias pci:v1* ifcvf', 'alias pci:v1d2* virtio_pci', 'alias vdpa_core vdpa', 'alias symbol:vdpa_f vdpa']);
  });
});

it('the recorded tree finds what the recordings find', async () => {
  const sys = new FakeSystem(recordedTree());
  const index = await readIndex(sys, sys.dirname);
  expect(lookup('symbol:vdpa_set_status', index, parseConfig([])).map((f) => f.module)).toEqual(['vdpa']);
});
