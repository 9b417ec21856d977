import { errnoOf } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { addDevice, bootDriverCore } from './testing/kernel.ts';

describe('renaming a device of a class', () => {
  it('moves its directory and its link, announces it, and leaves nothing when the device goes', async () => {
    const kernel = await bootDriverCore();
    const { k } = kernel;
    const cls = { name: 'toy' };
    k.class_register(cls);
    const dev = await kernel.run(() => addDevice(k, { name: 'old', class: cls }));
    kernel.uevents();
    k.device_rename(dev, 'new');
    expect(kernel.uevents()).toEqual(['move@/devices/virtual/toy/new SUBSYSTEM=toy DEVPATH_OLD=/devices/virtual/toy/old']);
    await kernel.sh(async (sh) => {
      expect(await sh.ls('/sys/class/toy')).toBe('new');
      expect(await sh.readlink('/sys/class/toy/new')).toBe('../../devices/virtual/toy/new');
      expect(await sh.cat('/sys/class/toy/new/uevent')).toBe('');
    });
    const other = await kernel.run(() => addDevice(k, { name: 'old', class: cls }));
    expect(await errnoOf(async () => k.device_rename(other, 'new'))).toBe('EEXIST');
    await kernel.run(() => k.device_unregister(dev));
    await kernel.sh(async (sh) => expect(await sh.ls('/sys/class/toy')).toBe('old'));
    await kernel.run(() => k.device_unregister(other));
    k.class_unregister(cls);
    expect(kernel.leftovers()).toEqual([]);
  });
});
