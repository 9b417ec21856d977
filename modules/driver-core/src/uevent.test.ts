import { createMachine } from '@vdpalab/machine';
import { expect, test } from 'vitest';
import type { Uevent } from './header.ts';
import { addDevice, bootDriverCore, toyBus, toyDriver } from './testing/kernel.ts';

test('the environment is in Linux\'s order: action, path, subsystem, the sender\'s, the device\'s, the number', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const seen: Uevent[] = [];
  const listener = (event: Uevent): undefined => void seen.push(event);
  await kernel.sh(async (sh) => {
    const bus = toyBus({ uevent: (dev) => [`MODALIAS=toy:${dev.name}`] });
    await k.bus_register(bus);
    await k.driver_register(toyDriver(bus, 'd', []));
    const dev = await addDevice(k, { name: 'x', bus, devt: { major: 10, minor: 1 }, uevent: () => ['MINE=1'] });
    k.uevent_listen(listener);
    k.kobject_uevent(dev, 'change', ['MDEV_STATE=registered']);
    k.kobject_uevent_at('/module/x', 'module', 'add');
    k.kobject_uevent(dev, 'unbind');
    expect(await sh.cat('/sys/kernel/uevent_seqnum')).toBe(`${seen.at(-1)?.seqnum}\n`);
    k.uevent_unlisten(listener);
    k.kobject_uevent(dev, 'change');
  });
  const [first, second, third, none] = seen;
  expect(none).toBeUndefined();
  expect(first?.env).toEqual([
    'ACTION=change', 'DEVPATH=/devices/x', 'SUBSYSTEM=toy', 'MDEV_STATE=registered', 'MAJOR=10', 'MINOR=1', 'DEVNAME=x', 'DRIVER=d',
    'MODALIAS=toy:x', 'MINE=1', `SEQNUM=${first?.seqnum}`,
  ]);
  expect(second).toEqual({
    action: 'add', devpath: '/module/x', seqnum: (first?.seqnum ?? 0) + 1,
    env: ['ACTION=add', 'DEVPATH=/module/x', 'SUBSYSTEM=module', `SEQNUM=${second?.seqnum}`],
  });
  expect(third?.env.filter((line) => line.startsWith('MODALIAS='))).toEqual([]); // nobody is to load the driver again
});

test('a word written to a uevent file sends that event; anything else is EINVAL and logged', async () => {
  const kernel = await bootDriverCore();
  const { k } = kernel;
  const uuid = 'fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed';
  await kernel.sh(async (sh) => {
    const bus = toyBus();
    await k.bus_register(bus);
    await k.driver_register(toyDriver(bus, 'd', []));
    await addDevice(k, { name: 'x', bus });
    kernel.uevents();
    const write = (text: string): Promise<string> => sh.echo(text, '/sys/devices/x/uevent');
    for (const word of ['add\n', 'remove', 'change\n', `add ${uuid}\n`, `add ${uuid} A=1 B=abc`]) expect(await write(word)).toBe('ok');
    expect(await sh.echo('add', '/sys/bus/toy/drivers/d/uevent')).toBe('ok');
    for (const word of ['bogus\n', '\n', 'ad', `add ${uuid} A`, `add ${uuid} A=`, 'add notauuid', `add ${uuid}x`]) expect(await write(word)).toBe('EINVAL');
    expect(await sh.echo('x', '/sys/bus/toy/uevent')).toBe('EINVAL');
  });
  const device = (action: string, rest: string): string => `${action}@/devices/x SUBSYSTEM=toy ${rest} DRIVER=d`;
  expect(kernel.uevents()).toEqual([
    device('add', 'SYNTH_UUID=0'), device('remove', 'SYNTH_UUID=0'), device('change', 'SYNTH_UUID=0'), device('add', `SYNTH_UUID=${uuid}`),
    device('add', `SYNTH_UUID=${uuid} SYNTH_ARG_A=1 SYNTH_ARG_B=abc`), 'add@/bus/toy/drivers/d SUBSYSTEM=drivers SYNTH_UUID=0',
  ]);
  expect(kernel.dmesg()).toEqual([
    ...Array.from({ length: 3 }, () => ['4: synth uevent: /devices/x: unknown uevent action string', '3: d x: uevent: failed to send synthetic uevent: -22']),
    ...Array.from({ length: 4 }, () => ['4: synth uevent: /devices/x: incorrect uevent action arguments', '3: d x: uevent: failed to send synthetic uevent: -22']),
    ['4: synth uevent: /bus/toy: unknown uevent action string'],
  ].flat());
});

test('uevents are traced when tracing is on', async () => {
  const types: string[] = [];
  const { machine } = createMachine({
    seed: 1, ramBytes: 16 << 20, iommu: false, cmdline: '', release: '6.1.0', consoleSink: () => undefined,
    traceSink: (event): undefined => void types.push(`${event.type} ${String(event.fields['devpath'])}`),
  });
  const kernel = await bootDriverCore({ machine });
  await kernel.run(() => kernel.k.bus_register(toyBus()));
  expect(types).toContain('uevent /bus/toy');
});
