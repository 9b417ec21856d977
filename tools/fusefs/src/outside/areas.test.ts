import { MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, PROT_EXEC, PROT_NONE, PROT_READ, PROT_WRITE } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { hostAreas, parseMaps } from './areas.ts';

const MAPS = `55d0c0a00000-55d0c0a02000 r-xp 00001000 fe:01 1234                       /usr/bin/a program
55d0c1a00000-55d0c1a21000 rw-p 00000000 00:00 0                          [heap]
7f2000000000-7f2010000000 rw-s 00002000 00:01 99                         /memfd:mem (deleted)
7f2020000000-7f2020001000 ---p 00000000 00:00 0
7f2030000000-7f2030002000 rw-s 00000000 00:07 5                          /dev/vfio/12
7f2040000000-7f2040004000 r--p 00000000 00:00 0                          [vvar]
7f2050000000-7f2050001000 rw-s 00000000 00:01 7                          /dev/zero (deleted)
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`;

test('mappings are told as the kernel\'s mmap took them; registers and the kernel\'s pages are none', () => {
  const areas = parseMaps(MAPS);
  expect(areas.map(({ start, end, prot, flags, pgoff, name }) => [start, end - start, prot, flags, pgoff, name])).toEqual([
    [0x55d0_c0a0_0000, 0x2000, PROT_READ | PROT_EXEC, MAP_PRIVATE, 1, '/usr/bin/a program'],
    [0x55d0_c1a0_0000, 0x2_1000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, 0, '[heap]'],
    [0x7f20_0000_0000, 0x1000_0000, PROT_READ | PROT_WRITE, MAP_SHARED, 2, '/memfd:mem (deleted)'],
    [0x7f20_2000_0000, 0x1000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, 0, ''],
    [0x7f20_5000_0000, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED, 0, '/dev/zero (deleted)'],
  ]);
  expect(areas[2]?.range).toBe('7f2000000000-7f2010000000');
});

test('the same bytes at the same address have one backing, however the mapping was split', () => {
  const [whole] = parseMaps('1000-5000 rw-s 00000000 00:01 9 /memfd:m (deleted)');
  const [, tail] = parseMaps('1000-2000 rw-s 00000000 00:01 9 /memfd:m (deleted)\n2000-5000 r--s 00001000 00:01 9 /memfd:m (deleted)');
  const [other] = parseMaps('2000-5000 rw-s 00000000 00:01 9 /memfd:m (deleted)');
  expect(tail?.backing).toBe(whole?.backing);
  expect(other?.backing).not.toBe(whole?.backing);
});

test('a process that is gone has nothing mapped', () => {
  expect(hostAreas(2 ** 22 + 1)).toEqual([]);
});
