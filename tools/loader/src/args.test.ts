/** Parameters from text; the cases are those recorded on Linux 6.1 with rk_params. */
import { isKernelError, param } from '@vdpalab/abi';
import { covers } from '@vdpalab/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitArgs } from './args.ts';
import { fakeKernel, toy } from './fake-host.ts';

const RK_PARAMS = {
  b: param.bool(false, { perm: 0o644, desc: 'a bool' }),
  i: param.int(7, { perm: 0o644 }),
  u: param.uint(0, { perm: 0o644 }),
  ul: param.ulong(0n, { perm: 0o644 }),
  s: param.short(0, { perm: 0o644 }),
  by: param.byte(0, { perm: 0o644 }),
  ull: param.ullong(0n, { perm: 0o644 }),
  hexi: param.hexint(0, { perm: 0o644 }),
  str: param.charp('dflt', { perm: 0o644 }),
  arr: param.array(param.int(0), 4, [1, 2], { perm: 0o644 }),
  not_b: param.invbool(true, { perm: 0o444 }),
  bi: param.bint(0, { perm: 0o644 }),
  fixed: param.string(8, 'abc', { perm: 0o644 }),
  hidden: param.int(3),
};

/** Load rk_params. @returns errno, log lines and what sysfs would show */
async function insmod(args: string): Promise<{ result: string; log: readonly string[]; shown: Record<string, string> }> {
  const { loader, host } = fakeKernel();
  const shown: Record<string, string> = {};
  const result = await loader.load(toy('rk_params', { params: RK_PARAMS }), args).then((view) => {
    for (const p of view.parameters) shown[p.name] = p.show();
    return 'ok';
  }, (e: unknown) => (isKernelError(e) ? e.errno : String(e)));
  if (result !== 'ok') expect(loader.residue()).toEqual([]);
  return { result, log: host.log, shown };
}

describe('a parameter string', () => {
  it('is split at blanks outside quotes, with quotes around a value or a word dropped', () => {
    const words = (text: string): string => splitArgs(text).args.map((a) => `${a.name}|${a.value ?? '-'}`).join(' ; ');
    expect(words('  i=12 b  str=hello ')).toBe('i|12 ; b|- ; str|hello');
    expect(words('str="a b" i=1')).toBe('str|a b ; i|1');
    expect(words('"str=a b" i=1')).toBe('str|a b ; i|1');
    expect(words('"flag one"')).toBe('flag one|-');
    expect(words('str=a\\ b')).toBe('str|a\\ ; b|-');
    expect(words('str=a"b c"d')).toBe('str|a"b c"d');
    expect(words('x= y=a=b')).toBe('x| ; y|a=b');
    expect(words('=v')).toBe('=v|-');
    expect(words('str="open end')).toBe('str|open end');
    expect(words('')).toBe('');
  });

  it('ends at a bare --', () => {
    expect(splitArgs('a=1 -- b=2 c')).toEqual({ args: [{ name: 'a', value: '1' }], afterDashes: 'b=2 c' });
    expect(splitArgs('--=1').args).toEqual([{ name: '--', value: '1' }]);
  });

  it('is never split into more words than it has runs of non-blanks', () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom('a', '=', '"', ' ', '-', '\t') }), (text) => {
      expect(splitArgs(text).args.length).toBeLessThanOrEqual(text.split(/\s+/).filter((w) => w !== '').length);
    }));
  });
});

describe('module parameters', () => {
  it('of every kind are read and shown as the kernel does', async () => {
    covers('2.14.12');
    const { result, shown, log } = await insmod('i=0x1F b str=hello arr=9,8,7 u=010 s=-5 by=255 ul=0xffffffffffffffff hexi=255 not-b=y bi fixed=1234567 hidden=9');
    expect({ result, log }).toEqual({ result: 'ok', log: [] });
    expect(shown).toEqual({
      i: '31', b: 'Y', str: 'hello', arr: '9,8,7', u: '8', s: '-5', by: '255', ul: '18446744073709551615', ull: '0',
      hexi: '0x0000ff', not_b: 'Y', bi: '1', fixed: '1234567',
    });
  });

  it('start from their defaults, and the last of two wins', async () => {
    expect((await insmod('')).shown).toMatchObject({ i: '7', arr: '1,2', hexi: '0x000000', not_b: 'N', str: 'dflt', b: 'N', bi: '0' });
    expect((await insmod('i=1 i=2')).shown['i']).toBe('2');
  });

  it('that are unknown are warned of and ignored', async () => {
    covers('2.14.12');
    const { result, log, shown } = await insmod('i=1 nosuch=2 rk_params.i=4 I=3 u=3 async_probe dyndbg=+p -- rest');
    expect(result).toBe('ok');
    expect(log).toEqual([
      "warn: rk_params: unknown parameter 'nosuch' ignored", "warn: rk_params: unknown parameter 'rk_params' ignored",
      "warn: rk_params: unknown parameter 'I' ignored", "warn: rk_params: parameters 'rest' after `--' ignored",
    ]);
    expect(shown).toMatchObject({ i: '1', u: '3' });
  });

  const bad: readonly (readonly [string, string, ...string[]])[] = [
    ['i=abc', 'EINVAL', "rk_params: `abc' invalid for parameter `i'"],
    ['i=', 'EINVAL', "rk_params: `' invalid for parameter `i'"],
    ['i', 'EINVAL', "rk_params: `' invalid for parameter `i'"],
    ['b=2', 'EINVAL', "rk_params: `2' invalid for parameter `b'"],
    ['b=', 'EINVAL', "rk_params: `' invalid for parameter `b'"],
    ['str', 'EINVAL', "rk_params: `' invalid for parameter `str'"],
    ['not_b', 'EINVAL', "rk_params: `' invalid for parameter `not_b'"],
    ['u=-1', 'EINVAL', "rk_params: `-1' invalid for parameter `u'"],
    ['by=256', 'ERANGE', "rk_params: `256' invalid for parameter `by'"],
    ['i=99999999999', 'ERANGE', "rk_params: `99999999999' invalid for parameter `i'"],
    ['arr=1,2,3,4,5', 'EINVAL', 'arr: can only take 4 arguments', "rk_params: `1' invalid for parameter `arr'"],
    ['arr=', 'EINVAL', "rk_params: `' invalid for parameter `arr'"],
    ['arr=1,,2', 'EINVAL', "rk_params: `1' invalid for parameter `arr'"],
    ['fixed=12345678', 'ENOSPC', "fixed: string doesn't fit in 7 chars.", "rk_params: `12345678' too large for parameter `fixed'"],
  ];
  for (const [args, errno, ...lines] of bad) {
    it(`refuse ${args} with ${errno}, leaving nothing behind`, async () => {
      covers('2.14.12');
      const { result, log } = await insmod(args);
      expect({ result, log }).toEqual({ result: errno, log: lines.map((l) => `err: ${l}`) });
    });
  }

  it('after a bad one are still read, and the last errno counts', async () => {
    const { result, log } = await insmod('by=256 i=abc');
    expect(result).toBe('EINVAL');
    expect(log).toHaveLength(2);
  });

  it('longer than 1024 characters do not fit a charp', async () => {
    expect((await insmod(`str=${'x'.repeat(1024)}`)).result).toBe('ok');
    const { result, log } = await insmod(`str=${'x'.repeat(1025)}`);
    expect(result).toBe('ENOSPC');
    expect(log[0]).toBe('err: str: string parameter too long');
  });

  it('are written through sysfs as recorded', async () => {
    covers('2.14.12');
    const { loader, host } = fakeKernel();
    const view = await loader.load(toy('rk_params', { params: RK_PARAMS }));
    const write = (name: string, text: string): string => {
      const file = view.parameters.find((p) => p.name === name);
      if (file === undefined) return 'no file';
      try {
        file.store(text);
      } catch (e) {
        return `${isKernelError(e) ? e.errno : String(e)} ${file.show()}`;
      }
      return file.show();
    };
    expect(write('i', '010\n')).toBe('8');
    expect(write('i', 'abc\n')).toBe('EINVAL 8');
    expect(write('i', '\n')).toBe('EINVAL 8');
    expect(write('u', '4294967295\n')).toBe('4294967295');
    expect(write('u', '4294967296\n')).toBe('ERANGE 4294967295');
    expect(write('b', 'Yes\n')).toBe('Y');
    expect(write('b', 'off\n')).toBe('N');
    expect(write('b', '2\n')).toBe('EINVAL N');
    expect(write('arr', '1,2,3,4,5\n')).toBe('EINVAL 1,2,3,4');
    expect(write('arr', '1,x\n')).toBe('EINVAL 1');
    expect(write('arr', '5\n')).toBe('5');
    expect(write('str', 'two words\n')).toBe('two words\n');
    expect(write('fixed', '1234567\n')).toBe('ENOSPC abc');
    expect(write('ull', '18446744073709551616\n')).toBe('ERANGE 0');
    expect(write('hidden', '1\n')).toBe('no file');
    expect(host.log).toEqual(['err: arr: can only take 4 arguments', "err: fixed: string doesn't fit in 7 chars."]);
  });

  it('with a set of their own refuse what it refuses', async () => {
    const lim = param.custom({
      schema: param.int(0).schema.refine((v) => v >= 0 && v <= 10, 'ERANGE'), show: String, default: 5, perm: 0o644, desc: '0..10, -ERANGE otherwise',
    });
    const { loader } = fakeKernel();
    const load = (args: string): Promise<string> => loader.load(toy('m', { params: { lim } }), args)
      .then((v) => v.parameters[0]?.show() ?? '', (e: unknown) => (isKernelError(e) ? e.errno : String(e)));
    expect(await load('lim=11')).toBe('ERANGE');
    expect(await load('lim=x')).toBe('EINVAL');
    expect(await load('lim=10')).toBe('10');
  });
});
