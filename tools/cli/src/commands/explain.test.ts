/** Explanations, in a lab with a physical function: what is said, and that what would have worked does work. */
import { createLab, type Lab, type LabConfigInput } from '@vdpalab/lab';
import { Player } from '@vdpalab/shell';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { programs } from '../programs/index.ts';
import { explainAll, lastExplained, UnknownRuleError } from './explain.ts';

const config: LabConfigInput = {
  memory: '64M', fail: [],
  pci: { root_ports: [{ at: '00:01.0', bus: 7 }], functions: [{ at: '07:00.0', model: 'n3000', link: 'sw0', sriov: { total: 4 } }] },
  networks: [{ name: 'sw0' }],
};
const PF = '/sys/bus/pci/devices/0000:07:00.0';

let lab: Lab;
let player: Player;

beforeEach(async () => {
  lab = await createLab({ config });
  player = await Player.open(lab, { applets: programs });
});

afterEach(async () => {
  await player.close();
  await lab.close();
});

/** Run commands that succeed. */
async function run(...commands: string[]): Promise<void> {
  for (const command of commands) {
    const { out } = await player.play(command);
    if (out.at(-1) !== 'exit: 0') throw new Error(`${command}: ${out.join('\n')}`);
  }
}

/** Run a command that is refused. @returns its explanation, by field */
async function refused(command: string): Promise<Record<string, string>> {
  const { out } = await player.play(command);
  expect(out.at(-1)).not.toBe('exit: 0');
  const lines = await lastExplained(lab);
  return Object.fromEntries([['what', lines[0] ?? ''], ...lines.slice(1).map((line) => [line.slice(2, 12).trim(), line.slice(12)])]);
}

const SWITCH_ON = ['modprobe pci_pf_stub', `echo pci-pf-stub > ${PF}/driver_override`, 'echo 0000:07:00.0 > /sys/bus/pci/drivers_probe', `echo 2 > ${PF}/sriov_numvfs`];

describe('what would have worked does work', () => {
  /** [what stands before, the refused command, the rule, whether the command is tried again after the remedy] */
  const cases: readonly (readonly [string, readonly string[], string, string, boolean])[] = [
    ['a module that others use', ['modprobe vhost_vdpa'], 'rmmod vhost_iotlb', 'kmod.rmmod.users', false],
    ['a physical function without a driver', [], `echo 2 > ${PF}/sriov_numvfs`, 'pci.numvfs.driver', true],
    ['virtual functions that are on already', SWITCH_ON, `echo 3 > ${PF}/sriov_numvfs`, 'pci.numvfs.enabled', false],
    ['a device that another driver has', ['modprobe vdpa_sim_net', 'modprobe vhost_vdpa', 'modprobe virtio_vdpa', 'vdpa dev add name v mgmtdev vdpasim_net'], 'echo v > /sys/bus/vdpa/drivers/virtio_vdpa/bind', 'driver.probe.bound', true],
    ['a name that is taken', [...SWITCH_ON, 'modprobe ifcvf', 'modprobe virtio_vdpa', 'vdpa dev add name v mgmtdev pci/0000:07:00.2'], 'vdpa dev add name v mgmtdev pci/0000:07:00.3', 'vdpa.register.name', false],
    ['the vdpa tool without its module', [], 'vdpa dev show', 'genl.ctrl.family', true],
  ];
  test.each(cases)('%s', async (_name, before, command, rule, isRepeated) => {
    await run(...before);
    const said = await refused(command);
    expect(said['rule']).toContain(`${rule}: `);
    const remedy = (said['instead'] ?? '').split(', or ')[0] ?? '';
    await run(...remedy.split(' ; '));
    if (isRepeated) await run(command);
  });
});

describe('an explanation', () => {
  test('names the module that exports what a module needs', async () => {
    const said = await refused('insmod /lib/modules/6.1.0-vdpalab/kernel/drivers/vhost/vhost_vdpa.ko');
    expect(said['what']).toBe('insmod: init_module: ENOENT');
    expect(said['rule']).toMatch(/^module\.load\.symbols: /);
    expect(said['compared']).toMatch(/vhost_dev_init \(ENOENT\)/);
    expect(said['instead']).toMatch(/^modprobe vhost_vdpa, which loads .*vhost/);
    expect(said['Linux']).toBe('kernel/module/main.c simplify_symbols');
  });

  test('takes the reason of a netlink request from the kernel, where the tool shows an errno', async () => {
    await run('modprobe vdpa_sim_net');
    const said = await refused('vdpa dev show vdpa9');
    expect(said).toMatchObject({ what: 'vdpa: netlink: ENODEV', compared: 'vdpa9: device not found', instead: 'vdpa dev add name vdpa9 mgmtdev vdpasim_net' });
  });

  test('of a probe by hand names what the driver was refused', async () => {
    await run(...SWITCH_ON, 'modprobe ifcvf', 'modprobe vhost_vdpa', 'vdpa dev add name v mgmtdev pci/0000:07:00.2', 'fail ifcvf:probe');
    await run('echo 0000:07:00.3 > /sys/bus/pci/drivers/ifcvf/unbind');
    await player.play('echo 0000:07:00.3 > /sys/bus/pci/drivers_probe');
    const lines = await lastExplained(lab);
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}rule {6}fault\.injected: /));
  });

  test('of a probe that only the log tells of is given too', async () => {
    await run(...SWITCH_ON, 'fail ifcvf:probe=ENOMEM', 'modprobe ifcvf');
    const lines = await lastExplained(lab);
    expect(lines[0]).toBe('modprobe: probe: ENOMEM');
    expect(lines).toContainEqual(expect.stringContaining("ifcvf: pcim_enable_device during init > probe fails on purpose: asked for by 'ifcvf:probe=ENOMEM'"));
  });

  test('names what is there in place of what is not', async () => {
    await run('modprobe vdpa');
    expect((await refused('cat /sys/bus/vdpa/devcies'))['instead']).toBe('take /sys/bus/vdpa/devices');
    expect((await refused('cat /dev/vhost-vdpa-0'))['instead']).toMatch(/^modprobe vhost_vdpa, and bind/);
    expect((await refused('rmmod vdp'))['instead']).toBe('rmmod vdpa');
    expect((await refused('modprobe vdpasim_net'))['instead']).toBe('modprobe vdpa_sim_net');
    expect((await refused('echo nosuch > /sys/bus/vdpa/drivers_probe'))['instead']).toBe('make a device first: the bus has none yet');
  });

  test('leaves out what a program only tried', async () => {
    await player.play('modprobe vdpa');
    expect(await lastExplained(lab)).toEqual([]); // it looked for files of modprobe.d that are not there
    expect(lab.refusals.commands.at(-1)?.refusals.length).toBeGreaterThan(0);
  });

  test('of a failure without a refusal says so', async () => {
    await player.play('false');
    expect(await lastExplained(lab)).toEqual(['exit 1: the kernel refused nothing, and the program said nothing: a condition was not met, or an argument was missing']);
  });

  test('is of the process that met it', async () => {
    await player.play('cat /nosuch');
    const met = lab.refusals.refusals.at(-1);
    expect(met).toMatchObject({ comm: 'cat', error: { errno: 'ENOENT', rule: 'fs.path.missing' } });
    expect(lab.refusals.of(met?.pid ?? 0)).toContain(met);
    expect(lab.refusals.of(1)).toEqual([]);
  });
});

describe('explain in the shell', () => {
  test('is about the command before it, or about its own line', async () => {
    await run('modprobe vdpa_sim_net');
    await player.play('rmmod vdpa');
    expect((await player.play('explain')).out).toContain('  instead   rmmod vdpa_sim_net vdpa_sim vdpa');
    expect((await player.play('cat /nosuch; explain')).out).toContain('  compared  /nosuch: / has no nosuch');
  });

  test('prints rules and looks up messages', async () => {
    expect((await player.play('explain module.unload.users')).out[0]).toBe('module.unload.users');
    expect((await player.play("explain 'modprobe: FATAL: Module vdpa is in use.'")).out[1]).toMatch(/kmod\.modprobe\.users: /);
    expect((await player.play('explain nonsense')).out.at(-1)).toBe('exit: 1');
    expect((await player.play('explain --help')).out[0]).toMatch(/^Usage: explain/);
  });

  test('has nothing to say where nothing was refused, and everything with -a', async () => {
    expect((await player.play('explain')).out).toEqual(['stderr: explain: no command was refused anything', 'exit: 1']);
    await player.play('cat /nosuch');
    await run('true');
    expect((await player.play('explain -a')).out).toContain('  compared  /nosuch: / has no nosuch');
  });
});

describe('fail in the shell', () => {
  test('takes rules, counts what they met, and lets go', async () => {
    await run('fail vdpa:init');
    expect((await player.play('modprobe vdpa')).out.at(-1)).toBe('exit: 1');
    expect((await player.play('fail')).out[0]).toBe('vdpa:init: met 1, failed 1');
    await run('fail -c', 'modprobe vdpa');
  });

  test('lists what modules ask for, as rules that can be given', async () => {
    const { out } = await player.play('fail -r modprobe vdpa');
    expect(out).toContain('vdpa:init/bus_register:1');
    await run('rmmod vdpa', 'fail vdpa:init/bus_register:1=EBUSY');
    expect((await player.play('modprobe vdpa')).out[0]).toMatch(/Device or resource busy/);
  });

  test('refuses what is no rule', async () => {
    expect((await player.play('fail nonsense')).out[0]).toMatch(/^stderr: fail: 'nonsense': not a rule; a rule is MODULE:WHAT/);
  });
});

describe('vdpalab explain', () => {
  async function printed(what: readonly string[], command?: readonly string[]): Promise<string> {
    let out = '';
    await explainAll(what, { out: (text) => void (out += text), ...(command === undefined ? {} : { command }) });
    return out;
  }

  test('prints a rule, rules of a beginning, a message', async () => {
    expect(await printed(['module.unload.users'])).toContain('  instead   Unload its users first');
    expect(await printed(['module.unload'])).toContain('module.unload.refs: ');
    expect(await printed(['modprobe: FATAL: Module vdpa is in use.'])).toContain('kmod.modprobe.users: ');
    await expect(printed(['nonsense'])).rejects.toThrow(UnknownRuleError);
  });

  test('runs commands and explains each', async () => {
    const out = await printed([], ['modprobe vdpa_sim_net', 'rmmod vdpa']);
    expect(out).toContain('$ rmmod vdpa\nstderr: rmmod: ERROR: Module vdpa is in use by: vdpa_sim vdpa_sim_net\nexit: 1\n');
    expect(out).toContain('  instead   rmmod vdpa_sim_net vdpa_sim vdpa\n');
  });
});
