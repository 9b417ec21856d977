import { describe, expect, test } from 'vitest';
import { scanPackage } from './scan.ts';

const found = (...texts: string[]): string[] => scanPackage(texts.map((text, i) => ({ path: `modules/m/src/f${i}.ts`, text })))
  .sites.map((site) => `${site.rule} ${site.errnos.join('|') || '-'}`).sort();

describe('the rules of a source are found', () => {
  test('where the id is a literal', () => {
    expect(found("throw new KernelError('EINVAL', 'm.a.b', `x`); throw foldError('EFAULT', 'm.c.d', 'x', e);")).toEqual(['m.a.b EINVAL', 'm.c.d EFAULT']);
  });

  test('where errno or id depend on a condition', () => {
    expect(found("throw new KernelError(x ? 'EBUSY' : 'EEXIST', 'm.a', t); throw new KernelError('EIO', y ? 'm.b' : 'm.c', t);"))
      .toEqual(['m.a EBUSY|EEXIST', 'm.b EIO', 'm.c EIO']);
  });

  test('behind a helper, pair by pair', () => {
    expect(found("function refuse(errno: E, rule: string): never { throw new KernelError(errno, `m.${rule}`, 't'); } refuse('EIO', 'a'); if (x) refuse('EPERM', 'b.c');"))
      .toEqual(['m.a EIO', 'm.b.c EPERM']);
  });

  test('behind a helper of another file, unless the name means one of its own there', () => {
    expect(found(
      "export function fail(errno: E, rule: string) { return new KernelError(errno, `m.${rule}`, ''); }",
      "import { fail } from './f0.ts'; throw fail('EIO', 'a');",
      "const fail = (rule: string, text: string) => { log(rule, text); }; fail('z', 'y');",
    )).toEqual(['m.a EIO']);
  });

  test('behind a helper inside a method whose argument says what', () => {
    expect(found(`class C {
      init() { const w = (what: string) => this.#window(1, what); w('a'); w('b'); }
      #window(n: number, what: string) { const refuse = (text: string) => { throw new KernelError('EIO', \`m.\${what}\`, text); }; refuse('x'); }
    }`)).toEqual(['m.a EIO', 'm.b EIO']);
  });

  test('behind a destructured argument and a class of refusals', () => {
    expect(found("function make({ rule }: O) { return new KernelError('EIO', rule, ''); } make({ rule: 'm.a' });")).toEqual(['m.a EIO']);
    expect(found("class Bad extends KernelError { constructor(rule: string) { super('EINVAL', `m.${rule}`, ''); } } throw new Bad('x');")).toEqual(['m.x EINVAL']);
  });

  test('with an errno that is only handed on', () => {
    expect(found("function f(errno: E) { throw new KernelError(errno, 'm.a', ''); }")).toEqual(['m.a -']);
  });
});

test('a rule that cannot be told is named with its place', () => {
  const { unresolved } = scanPackage([{ path: 'modules/m/src/a.ts', text: "\nthrow new KernelError('EIO', compute(), 'x');\n" }]);
  expect(unresolved).toEqual(["modules/m/src/a.ts:2: throw new KernelError('EIO', compute(), 'x');"]);
});
