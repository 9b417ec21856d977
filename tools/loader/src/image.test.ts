import { defineModule, isKernelError } from '@vdpalab/abi';
import type { ModInfo } from '@vdpalab/abi';
import { describe, expect, it } from 'vitest';
import { makeImage, moduleInfo, readDefinition } from './image.ts';

const refusal = (value: unknown): string => {
  try {
    readDefinition(value, 'dist/module.js');
    return 'taken';
  } catch (e) {
    return isKernelError(e) ? `${e.errno} ${e.message}` : String(e);
  }
};

describe('a module definition', () => {
  it('made with defineModule is taken as it is', () => {
    const def = makeImage(defineModule({ name: 'toy', license: 'GPL', imports: ['tainted'], module_init: () => ({ ksymtab: {} }) })).definition;
    expect(def).toMatchObject({ name: 'toy', license: 'GPL', imports: ['tainted'], exports: [], builtin: false });
  });

  it('that is none is refused with ENOEXEC, naming the file and the field', () => {
    const good = { name: 'm', license: 'GPL', module_init: () => ({ ksymtab: {} }) };
    expect(refusal(good)).toBe('taken');
    expect(refusal(null)).toBe('ENOEXEC dist/module.js: a module definition is an object, not object');
    expect(refusal({ ...good, name: '' })).toBe('ENOEXEC dist/module.js: name is not a name');
    expect(refusal({ ...good, name: 'a-b' })).toBe("ENOEXEC dist/module.js: name 'a-b' has characters a module name cannot have");
    expect(refusal({ ...good, imports: [1] })).toBe('ENOEXEC dist/module.js: imports is not a list of names');
    expect(refusal({ ...good, exportsNs: { N: 'f' } })).toBe('ENOEXEC dist/module.js: exportsNs.N is not a list of names');
    expect(refusal({ ...good, version: 1 })).toBe('ENOEXEC dist/module.js: version is not a string');
    expect(refusal({ ...good, module_init: 1 })).toBe('ENOEXEC dist/module.js: module_init is not a function');
  });

  it('whose init returns no symbol table is a bug of the module', async () => {
    const { module_init } = readDefinition({ name: 'm', license: 'GPL', module_init: () => undefined }, 'f');
    await expect(module_init({}, { } as never)).rejects.toThrow('f: module_init returned undefined, not a symbol table');
  });
});

it('modinfo.json gives sizes, CRCs and the order of needed symbols', () => {
  const record = {
    size: 5, srcversion: null, version: null, license: 'GPL', importNs: [], vermagic: '6.1.0 SMP ', exports: [{ name: 'e', gpl: true, namespace: null, crc: 7 }],
    imports: [{ name: 'b', weak: false, crc: 8 }, { name: 'a', weak: true, crc: null }],
  } as unknown as ModInfo; // the fields that count here
  expect(moduleInfo(record)).toEqual({
    size: 5, initSize: undefined, srcversion: undefined, crcs: { e: 7 }, importCrcs: { b: 8 }, vermagic: '6.1.0 SMP ', intree: true, signed: true,
    symbolOrder: ['b', 'a'],
  });
  expect(moduleInfo({ ...record, intree: false, signed: false })).toMatchObject({ intree: false, signed: false });
});
