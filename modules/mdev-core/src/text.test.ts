import { covers, errnoOfSync } from '@vdpalab/testing';
import { expect, it } from 'vitest';
import { meansRemove, uuidOf } from './text.ts';

const UUID = '83b8f4f2-509f-382f-3c1e-e6bfe0fa1001';

it('takes a UUID of 36 characters, in small or capital letters, and any one character after it', () => {
  covers('1.7.27', '2.11.5');
  for (const text of [UUID, `${UUID}\n`, `${UUID.toUpperCase()}\n`, `${UUID}x`]) expect(uuidOf(text)).toBe(UUID);
  expect(uuidOf('00000000-0000-0000-0000-000000000000')).toMatch(/^[0-]+$/);
});

it.each(['', '\n', UUID.slice(1), `${UUID}1\n`, `{${UUID}}`, `${UUID.slice(0, -1)}g`, UUID.replace('-', 'x'), UUID.replaceAll('-', '')])(
  'refuses %j as a UUID', (text) => {
    expect(errnoOfSync(() => uuidOf(text))).toBe('EINVAL');
  });

it('removes for any number but 0', () => {
  covers('1.9.17');
  for (const text of ['1', '1\n', '2', '0x10\n', '+7', '010', '18446744073709551615']) expect(meansRemove(text), text).toBe(true);
  for (const text of ['0', '0\n', '0x0', '00']) expect(meansRemove(text), text).toBe(false);
  for (const text of ['', '\n', 'abc', '-1', '1 ', '1\n\n', '0x', '08', '18446744073709551616']) expect(errnoOfSync(() => meansRemove(text)), text).toBe('EINVAL');
});
