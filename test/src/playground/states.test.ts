/** Loads and unloads that meet: by hand as recorded, and in any order that the scheduler may choose. */
import { createLab, type Lab } from '@vdpalab/lab';
import { Player } from '@vdpalab/shell';
import { covers, errnoOf } from '@vdpalab/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { folder } from './folders.ts';

const labWith = (name: 'rk' | 'awkward', seed = 1): Promise<Lab> => createLab({ seed, config: { modules: { only: [], extra: [folder(name)] } } });

/** Output of commands in a shell on a lab with the rk modules. */
async function session(body: (sh: (command: string) => Promise<string>, lab: Lab) => Promise<void>): Promise<void> {
  const lab = await labWith('rk');
  const player = await Player.open(lab);
  await body(async (command) => (await player.play(command)).out.join('\n'), lab);
  await player.close();
  expect(await lab.close()).toEqual([]);
}

const RK = '/lib/modules/6.1.0-vdpalab/kernel/samples/rk';

describe('a module that takes its time', () => {
  it('is coming meanwhile: counted once, in use for rmmod, and taken for a second insmod when it is done', async () => {
    covers('2.14.1', '2.14.3', '2.14.17', '2.14.13');
    await session(async (sh) => {
      // reference/linux-6.1/03-modules-states.txt, section 9
      expect(await sh(`modprobe rk_slow in_ms=1500 & sleep 0.7; cat /sys/module/rk_slow/initstate /sys/module/rk_slow/refcnt; grep rk_slow /proc/modules; ls /sys/module/rk_slow; rmmod rk_slow; insmod ${RK}/rk_slow.ko; wait`)).toBe([
        'coming', '1', 'rk_slow 28672 1 - Loading 0xffffffffc0201000 (OE+)',
        'coresize', 'holders', 'initsize', 'initstate', 'notes', 'parameters', 'refcnt', 'sections', 'taint', 'uevent',
        'stderr: rmmod: ERROR: Module rk_slow is in use',
        `stderr: insmod: ERROR: could not insert module ${RK}/rk_slow.ko: File exists`, 'exit: 0',
      ].join('\n'));
      expect(await sh('cat /sys/module/rk_slow/initstate; grep rk_slow /proc/modules')).toBe('live\nrk_slow 16384 0 - Live 0xffffffffc0201000 (OE)\nexit: 0');
    });
  });

  it('is going meanwhile: below zero, busy for a load and for another unload', async () => {
    covers('2.14.1', '2.14.3', '2.14.17', '2.14.13');
    await session(async (sh, lab) => {
      await sh('modprobe rk_slow in_ms=0 out_ms=1500');
      expect(await sh('rmmod rk_slow & sleep 0.7; cat /sys/module/rk_slow/initstate; grep rk_slow /proc/modules; rmmod rk_slow; modprobe rk_slow in_ms=1; modprobe -r rk_slow; wait; lsmod')).toBe([
        'going', 'rk_slow 16384 -1 - Unloading 0xffffffffc0201000 (OE-)', 'Module                  Size  Used by',
        "stderr: modprobe: ERROR: could not insert 'rk_slow': Device or resource busy",
        "stderr: modprobe: ERROR: ../libkmod/libkmod-module.c:856 kmod_module_remove_module() could not remove 'rk_slow': Device or resource busy",
        'exit: 0',
      ].join('\n'));
      expect(lab.uevents.slice(-1)).toMatchObject([{ action: 'remove' }]);
    });
  });

  it('keeps its second insmod waiting until a signal comes, and its users until then', async () => {
    covers('2.14.3', '2.14.4');
    await session(async (sh) => {
      expect(await sh(`modprobe rk_slow in_ms=3000 & sleep 0.2; insmod ${RK}/rk_slow.ko & pid=$!; sleep 0.2; cat /proc/$pid/wchan; echo; kill $pid; wait $pid; echo $?; cat /sys/module/rk_slow/initstate; wait; cat /sys/module/rk_slow/initstate`))
        .toBe('load_module\n143\ncoming\nlive\nexit: 0');
    });
    const lab = await labWith('awkward');
    const player = await Player.open(lab);
    expect((await player.play('insmod /opt/aw_slow.ko ms=3000 & sleep 0.2; insmod /opt/aw_slow_user.ko & pid=$!; sleep 0.2; kill $pid; wait $pid; echo $?; wait; lsmod')).out)
      .toEqual(['143', 'Module                  Size  Used by', 'aw_slow                16384  0', 'exit: 0']);
    expect(lab.dmesg.slice(-2).map((line) => line.text)).toEqual([
      'aw_slow_user: gave up waiting for init of module aw_slow.', 'aw_slow_user: Unknown symbol aw_slow_value (err -16)',
    ]);
    await player.close();
    expect(await lab.close()).toEqual([]);
  });

  it('announces itself after all its init sent, and takes leave after all its exit sent', async () => {
    await session(async (sh, lab) => {
      await sh('modprobe rk_provider; modprobe rk_fail; rmmod rk_provider');
      expect(lab.uevents.map((e) => `${e.action} ${e.devpath}`)).toEqual(['add /module/rk_provider', 'remove /module/rk_provider']);
    });
  });
});

describe('the kernel asking user space for a module', () => {
  it('gets it loaded by the modprobe in /proc, or its exit status', async () => {
    covers('2.14.18');
    await session(async (sh, lab) => {
      const request = (name: string): Promise<number> => lab.kernel(() => lab.symbol('request_module')(name));
      expect(await request('rk:type2')).toBe(0);
      expect(await sh('lsmod')).toContain('rk_user');
      expect(await request('rk-nowhere')).toBe(256);
      await lab.kernel(async () => void lab.symbol('ramfs_write')('/root/mp', '#!/bin/sh\necho $* > /tmp/asked; exit 3\n', 0o755));
      await sh('echo /root/mp > /proc/sys/kernel/modprobe');
      expect(await request('char-major-10-196')).toBe(768);
      expect(await sh('cat /tmp/asked')).toBe('-q -- char-major-10-196\nexit: 0');
      await sh('echo /nosuch > /proc/sys/kernel/modprobe');
      expect(await errnoOf(() => request('x'))).toBe('ENOENT');
    });
  });
});

/** What one task does to a module; the answers it may get, whatever the others do. */
const actions = {
  load: { name: 'aw_slow', args: 'ms=2', may: ['ok', 'EEXIST', 'EBUSY'] },
  fail: { name: 'aw_slow', args: 'ms=1 fail', may: ['ENODEV', 'EEXIST', 'EBUSY'] },
  user: { name: 'aw_slow_user', args: '', may: ['ok', 'EEXIST', 'ENOENT', 'EBUSY'] },
  other: { name: 'aw_gpl', args: '', may: ['ok', 'EEXIST', 'EBUSY'] },
  unload: { name: 'aw_slow', args: null, may: ['ok', 'ENOENT', 'EAGAIN', 'EBUSY'] },
  drop: { name: 'aw_slow_user', args: null, may: ['ok', 'ENOENT', 'EBUSY'] },
} as const;
type Action = keyof typeof actions;

/** Schedules in which tasks meet in each way that must be seen, whatever else is drawn. */
const MEETINGS: [number, Action[][]][] = [
  [17, [['fail', 'fail'], ['unload', 'fail', 'user'], ['drop'], ['load', 'fail', 'other']]],
  [999_999_997, [['unload', 'load'], ['load', 'user'], ['load', 'user', 'user', 'fail'], ['user']]],
  [756_357_798, [['load', 'unload'], ['other', 'fail', 'load'], ['unload', 'drop', 'load', 'load']]],
  [27, [['fail', 'load'], ['drop', 'load'], ['user', 'fail', 'unload', 'load']]],
  [828_835_949, [['other', 'unload', 'other', 'fail'], ['load', 'load'], ['fail', 'fail', 'drop']]],
];

describe('loads and unloads at the same time', () => {
  it('get answers that Linux gives, in whatever order they run, and leave the tables consistent', { timeout: 60_000 }, async () => {
    covers('2.14.3', '2.14.4', '2.14.13', '2.14.14');
    const seen = new Set<string>();
    const action = fc.constantFrom(...Object.keys(actions) as Action[]);
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 1e9 }), fc.array(fc.array(action, { minLength: 1, maxLength: 4 }), { minLength: 2, maxLength: 4 }), async (seed, tasks) => {
      const lab = await labWith('awkward', seed);
      const { sched } = lab.hw.machine;
      const process = await lab.process('loads');
      await lab.kernel(async () => {
        const running = tasks.map((todo, t) => lab.start(process, `task${t}`, async () => {
          for (const what of todo) {
            const { name, args, may } = actions[what];
            const answer = await errnoOf(() => (args === null
              ? lab.symbol('delete_module')(name, 0)
              : lab.symbol('init_module')({ path: `/opt/${name}.ko` }, args, 0)));
            expect(may as readonly string[]).toContain(answer);
            seen.add(`${what} ${answer}`);
          }
        }));
        for (const task of running) await sched.join(task);
      });
      await lab.exitProcess(process);
      const modules = lab.loader.modules();
      for (const m of modules) {
        expect(m.state).toBe('live');
        expect(m.refcnt).toBe(m.holders.length); // nobody else holds any
        for (const holder of m.holders) expect(modules.map((other) => other.name)).toContain(holder);
      }
      const owners = new Set(lab.loader.symbols().filter((s) => !s.builtin).map((s) => s.owner));
      expect([...owners].filter((owner) => !modules.some((m) => m.name === owner))).toEqual([]);
      expect(lab.dmesg.filter((line) => line.level < 3)).toEqual([]);
      expect(await lab.close()).toEqual([]);
    }), { numRuns: 60, examples: MEETINGS });
    // The property would say little if the tasks never met.
    expect([...seen]).toEqual(expect.arrayContaining(['load ok', 'load EEXIST', 'fail ENODEV', 'user ok', 'user ENOENT', 'unload ok', 'unload ENOENT', 'unload EAGAIN', 'unload EBUSY']));
  });
});
