import { describe, expect, it } from 'vitest';
import { chooseName, isValidName } from './names.ts';

const taken = new Set(['eth0', 'eth1', 'lan']);
const has = (name: string): boolean => taken.has(name);

describe('interface names', () => {
  it('have 1 to 15 bytes, and no blank, slash or colon', () => {
    expect(['eth0', 'a', 'x'.repeat(15), 'vf0-rep', '...'].map(isValidName)).toEqual([true, true, true, true, true]);
    expect(['', '.', '..', 'x'.repeat(16), 'a/b', 'a b', 'a:b', 'a\n'].map(isValidName)).toEqual(new Array(8).fill(false));
  });

  it('come from a pattern with the lowest free number', () => {
    expect(chooseName('eth%d', has)).toBe('eth2');
    expect(chooseName('p%ds', has)).toBe('p0s');
  });

  it.each([['lan', 'EEXIST'], ['a/b', 'EINVAL'], ['%s', 'EINVAL'], ['%d%d', 'EINVAL'], ['%', 'EINVAL']])('%j are refused with %s', (name, errno) => {
    expect(() => chooseName(name, has)).toThrow(expect.objectContaining({ errno }) as Error);
  });

  it('run out', () => {
    expect(() => chooseName('eth%d', () => true)).toThrow(expect.objectContaining({ errno: 'ENFILE' }) as Error);
  });
});
