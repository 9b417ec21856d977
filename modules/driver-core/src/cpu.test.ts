import { expect, test } from 'vitest';
import { bootDriverCore } from './testing/kernel.ts';

test('shows the machine\'s one processor, which stays', async () => {
  const kernel = await bootDriverCore();
  await kernel.sh(async (sh) => {
    expect(await sh.ls('/sys/devices/system/cpu')).toBe('cpu0 isolated kernel_max offline online possible present');
    for (const [name, text] of [['online', '0'], ['possible', '0'], ['present', '0'], ['offline', ''], ['kernel_max', '8191']]) {
      expect(await sh.cat(`/sys/devices/system/cpu/${name}`)).toBe(`${text}\n`);
    }
    expect(await sh.cat('/sys/devices/system/cpu/cpu0/topology/core_cpus_list')).toBe('0\n');
    expect(await sh.cat('/sys/devices/system/cpu/cpu0/topology/physical_package_id')).toBe('0\n');
  });
  expect(kernel.leftovers()).toEqual([]);
});
