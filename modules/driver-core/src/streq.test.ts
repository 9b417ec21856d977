import { expect, test } from 'vitest';
import { sysfs_streq } from './streq.ts';

test('one newline at the end does not count, on either side; nothing else is forgiven', () => {
  for (const [a, b] of [['x', 'x'], ['x', 'x\n'], ['x\n', 'x'], ['x\n', 'x\n'], ['', '\n'], ['x', 'x\0rest'], ['x\n\0rest', 'x']] as const) {
    expect(sysfs_streq(a, b)).toBe(true);
  }
  for (const [a, b] of [['x', 'y'], ['x', ' x'], ['x', 'x \n'], ['x', 'x\n\n'], ['x', 'x\ny'], ['', 'x']] as const) expect(sysfs_streq(a, b)).toBe(false);
});
