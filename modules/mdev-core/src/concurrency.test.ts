import { covers } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import type { MdevDriver, MdevParent } from './header.ts';
import { blankParent, bootMdev, todayDriver, typesOf, uuid } from './testing/kernel.ts';
import type { MdevKernel, Prompt } from './testing/kernel.ts';

const PHYS = '/sys/devices/virtual/phys/phys';
const CREATE = `${PHYS}/mdev_supported_types/phys-a/create`;
const SEEDS = [1, 2, 3, 7, 42, 1234];

interface Scene {
  readonly kernel: MdevKernel;
  readonly parent: MdevParent;
  readonly driver: MdevDriver;
  /** Unregister, unload. */
  readonly leave: () => Promise<void>;
}

async function scene(seed: number, more: (kernel: MdevKernel) => Partial<MdevDriver> = () => ({})): Promise<Scene> {
  const kernel = await bootMdev({ seed });
  const { k } = kernel;
  const driver = todayDriver('toy', [], { max_instances: 100, ...more(kernel) });
  const parent = blankParent();
  await kernel.run(async () => {
    await k.mdev_register_driver(driver);
    await k.mdev_register_parent(parent, await kernel.physical('phys'), driver, typesOf('a'), 1);
  });
  return {
    kernel, parent, driver,
    async leave() {
      const { dev } = parent;
      await k.mdev_unregister_parent(parent);
      await k.mdev_unregister_driver(driver);
      const cls = dev!.class!;
      await k.device_unregister(dev!);
      k.class_unregister(cls);
    },
  };
}

describe.each(SEEDS)('with seed %i', (seed) => {
  it('of two who remove a device at once, one does and the other is told so', async () => {
    covers('2.11.6');
    const { kernel, leave } = await scene(seed, ({ k }) => ({ remove: async () => void (await k.msleep(1)) }));
    await kernel.sh(async (sh) => void (await sh.write(CREATE, uuid(1))));
    const answers: unknown[] = [];
    const remove = async (sh: Prompt) => void answers.push(await sh.write(`/sys/bus/mdev/devices/${uuid(1)}/remove`, '1'));
    await kernel.together([remove, remove, remove]);
    expect(answers.filter((answer) => answer === 0)).toHaveLength(1);
    for (const answer of answers) expect([0, 'EAGAIN', 'ENODEV', 'ENOENT']).toContain(answer); // inside, on the way in, too late to open it
    await kernel.run(leave);
    await kernel.run(() => kernel.rmmod('mdev'));
    expect(kernel.leftovers()).toEqual([]);
  });

  it('a device is not removed before it is made', async () => {
    covers('2.11.6');
    const early: unknown[] = [];
    const { kernel, leave } = await scene(seed, ({ k }) => ({ probe: async () => void (await k.msleep(2)) }));
    await kernel.together([
      async (sh) => expect(await sh.write(CREATE, uuid(1))).toBe(0),
      async (sh) => {
        await kernel.k.msleep(1); // in the middle of the probe
        early.push(await sh.write(`${PHYS}/${uuid(1)}/remove`, '1'));
      },
    ]);
    expect(early).toEqual(['EAGAIN']);
    await kernel.sh(async (sh) => expect(await sh.write(`${PHYS}/${uuid(1)}/remove`, '1')).toBe(0)); // and it can be, afterwards
    await kernel.run(leave);
    await kernel.run(() => kernel.rmmod('mdev'));
    expect(kernel.leftovers()).toEqual([]);
  });

  it('two who create one UUID at once make one device', async () => {
    const { kernel, leave } = await scene(seed);
    const answers: unknown[] = [];
    const create = async (sh: Prompt) => void answers.push(await sh.write(CREATE, uuid(1)));
    await kernel.together([create, create]);
    expect(answers.sort()).toEqual([0, 'EEXIST']);
    await kernel.run(leave);
    await kernel.run(() => kernel.rmmod('mdev'));
    expect(kernel.leftovers()).toEqual([]);
  });

  it('a parent goes while devices come and go: it waits for those, and later ones are told so', async () => {
    covers('2.11.2', '2.11.5', '2.11.6');
    const { kernel, leave } = await scene(seed, ({ k }) => ({ probe: async () => void (await k.msleep(2)), remove: async () => void (await k.msleep(2)) }));
    await kernel.sh(async (sh) => {
      for (let n = 0; n < 3; n++) await sh.write(CREATE, uuid(n));
    });
    const answers: Record<string, unknown> = {};
    const note = (what: string, ms: number, path: string, text: string) => async (sh: Prompt): Promise<void> => {
      await kernel.k.msleep(ms);
      answers[what] = await sh.write(path, text);
    };
    await kernel.together([
      note('create, under way', 0, CREATE, uuid(7)),
      note('remove, under way', 0, `${PHYS}/${uuid(0)}/remove`, '1'),
      async () => {
        await kernel.k.msleep(1);
        await leave();
      },
      note('create, late', 3, CREATE, uuid(8)),
      note('remove, late', 3, `${PHYS}/${uuid(2)}/remove`, '1'),
    ]);
    expect(answers).toMatchObject({ 'create, under way': 0, 'remove, under way': 0 });
    expect(['ENODEV', 'ENOENT']).toContain(answers['create, late']);
    expect(['ENODEV', 'ENOENT']).toContain(answers['remove, late']);
    await kernel.run(() => kernel.rmmod('mdev'));
    expect(kernel.leftovers()).toEqual([]);
  });
});
