import { KernelError, type ModInfo } from '@vdpalab/abi';
import { covers } from '@vdpalab/testing';
import { makeImage } from '@vdpalab/loader';
import { describe, expect, it } from 'vitest';
import { moduleFile, openModuleFile } from './module-file.ts';

const INFO: ModInfo = {
  name: 'toy_dev', package: 'toy-dev', path: 'kernel/toy/toy_dev.ko', builtin: false, license: 'GPL v2', description: 'a toy', author: 'A. One',
  version: '1.2', srcversion: '0123456789ABCDEF0123456', vermagic: '6.1.0-9 SMP preempt mod_unload modversions ', depends: ['base'], alias: [],
  softdep: [], importNs: ['TOYS'], params: [{ name: 'count', type: 'int', desc: 'how many', perm: 0o444, default: '1' }],
  exports: [{ name: 'toy_get', gpl: true, namespace: null, crc: 0x1234_5678 }],
  imports: [{ name: 'base_f', weak: false, crc: 0xdead_beef }, { name: 'extra_f', weak: true, crc: null }], size: 4321,
};

const plain = moduleFile({ ...INFO, intree: false, signed: false }).bytes;
const signed = moduleFile(INFO).bytes;

/** What opening does: the image, or the errno with what was logged. */
function open(bytes: Uint8Array): { log: string[]; errno?: string; image?: ReturnType<ReturnType<typeof openModuleFile>['image']>; package?: string } {
  const log: string[] = [];
  try {
    const file = openModuleFile(bytes, '/tmp/t.ko', (level, text) => void log.push(`${level} ${text}`) as undefined);
    const code = makeImage({ name: 'toy_dev', license: 'X', module_init: () => ({ ksymtab: {} }) });
    return { log, package: file.package, image: file.image(code) };
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return { log, errno: error.errno };
  }
}

/** The file with bytes replaced, as sed does. */
function edit(bytes: Uint8Array, from: string, to: string): Uint8Array {
  const text = Buffer.from(bytes).toString('latin1');
  expect(text).toContain(from);
  return Buffer.from(text.replace(from, to), 'latin1');
}

describe('a module file', () => {
  it('carries everything the kernel checks, and whose code it is', () => {
    const { image, log, package: name } = open(signed);
    expect(log).toEqual([]);
    expect(name).toBe('toy-dev');
    expect(image?.definition).toMatchObject({ name: 'toy_dev', license: 'GPL v2', version: '1.2', imports: ['base_f'], weakImports: ['extra_f'], importNs: ['TOYS'] });
    expect(image?.info).toMatchObject({
      size: 4321, srcversion: '0123456789ABCDEF0123456', crcs: { toy_get: 0x1234_5678 }, vermagic: '6.1.0-9 SMP preempt mod_unload modversions ',
      intree: true, signed: true, symbolOrder: ['base_f', 'extra_f'],
    });
    expect(image?.info.importCrcs).toMatchObject({ base_f: 0xdead_beef });
    expect(open(plain).image?.info).toMatchObject({ intree: false, signed: false });
  });

  it('counts as it stands: an edited licence, version magic or name is the module\'s', () => {
    covers('2.14.5');
    expect(open(edit(plain, 'license=GPL v2\0', 'license=XXX v2\0')).image?.definition.license).toBe('XXX v2');
    expect(open(edit(plain, 'SMP preempt', 'SMP prexmpt')).image?.info.vermagic).toContain('prexmpt');
    expect(open(edit(plain, 'toy_dev\0\0', 'toy_bad\0\0')).image?.definition.name).toBe('toy_bad');
  });

  it('is judged by its signature: changed afterwards, by a key nobody knows, or none that can be read', () => {
    expect(open(edit(signed, 'a toy', 'a boy')).image?.info).toMatchObject({ signed: false, signature: 'bad' });
    for (const signature of ['bad', 'no-key', 'malformed'] as const) {
      expect(open(moduleFile({ ...INFO, signature }).bytes).image?.info).toMatchObject({ signed: false, signature });
    }
  });

  it('may say less than a build would: no licence, no magic, no versions, another layout', () => {
    const { image } = open(moduleFile({ ...INFO, license: '', vermagic: '', versions: false, staging: true, initSize: 8192 }).bytes);
    expect(image?.definition.license).toBe('unspecified');
    expect(image?.info).toMatchObject({ vermagic: undefined, importCrcs: null, staging: true, initSize: 8192 });
    expect(open(moduleFile({ ...INFO, layoutCrc: 1 }).bytes).image?.info.importCrcs).toEqual({ module_layout: 1, base_f: 0xdead_beef });
    const { module } = moduleFile({ ...INFO, fields: [['firmware', 'a.bin'], ['author', 'A'], ['author', 'B'], ['license', 'GPL']] });
    expect(module.modinfo.slice(0, 5)).toEqual([['firmware', 'a.bin'], ['author', 'A'], ['author', 'B'], ['license', 'GPL'], ['srcversion', '0123456789ABCDEF0123456']]);
  });

  it('is refused as an ELF file with the kernel\'s words', () => {
    expect(open(new Uint8Array())).toEqual({ errno: 'EINVAL', log: [] });
    expect(open(Buffer.from('hello\n'))).toEqual({ errno: 'ENOEXEC', log: ['3 Invalid ELF header len 6'] });
    expect(open(plain.subarray(0, 1000))).toEqual({ errno: 'ENOEXEC', log: ['3 Invalid ELF section header overflow'] });
    // Two bytes more in front of the section headers: the type of the last one is read two bytes early.
    expect(open(edit(plain, 'license=GPL v2', 'license=Closed\0\0'))).toEqual({ errno: 'ENOEXEC', log: ['3 Invalid ELF section hdr(type 196608)'] });
    const patched = (at: number, value: number): Uint8Array => {
      const bytes = Uint8Array.from(plain);
      bytes[at] = value;
      return bytes;
    };
    expect(open(patched(0, 0)).log).toEqual(['3 Invalid ELF header magic: != \x7fELF']);
    expect(open(patched(16, 3)).log).toEqual(['3 Invalid ELF header type: 3 != 1']);
    expect(open(patched(18, 40)).log).toEqual(['3 Invalid architecture in ELF header: 40']);
    expect(open(patched(58, 40)).log).toEqual(['3 Invalid ELF section header size']);
    expect(open(patched(62, 0)).log).toEqual([`3 Invalid ELF section name index: 0 || e_shstrndx (0) >= e_shnum (${plain[60]})`]);
  });

  it('checks every section\'s place and name', () => {
    const view = new DataView(plain.buffer);
    const shoff = Number(view.getBigUint64(40, true));
    const count = view.getUint16(60, true);
    const with32 = (section: number, field: number, value: number): string[] => {
      const bytes = Uint8Array.from(plain);
      new DataView(bytes.buffer).setUint32(shoff + section * 64 + field, value, true);
      return open(bytes).log;
    };
    expect(with32(0, 4, 1)).toEqual(['3 ELF Spec violation: section 0 type(1)!=SH_NULL or non-zero len or addr']);
    expect(with32(1, 24, 0x7fff_ffff)).toEqual(['3 Invalid ELF section in module (section 1 type 1)']);
    expect(with32(1, 0, 0xffff)).toEqual(['3 Invalid ELF section name in module (section 1 type 1)']);
    expect(with32(count - 3, 40, 0)).toEqual([`3 Invalid ELF sh_link!=SHN_UNDEF(0) or (sh_link(0) >= hdr->e_shnum(${count})`]);
    expect(with32(count - 1, 32, 0x7fff_ffff)).toEqual(['3 Invalid ELF section hdr(type 3)']);
    expect(with32(count - 1, 32, view.getUint32(shoff + (count - 1) * 64 + 32, true) - 1)).toEqual(["3 ELF Spec violation: section name table isn't null terminated"]);
  });

  it('is refused when it is no module, or not one of this world', () => {
    expect(open(edit(plain, '.gnu.linkonce.this_module', '.gnu.linkonce.that_module'))).toEqual({ errno: 'ENOEXEC', log: ['4 toy_dev: No module found in object'] });
    expect(open(edit(plain, '.vdpalab\0', '.another\0'))).toEqual({ errno: 'ENOEXEC', log: [] });
  });
});
