/** What is walked through: loading each module, and the calls that bring devices up. */
import { createLab, type BuiltModule, type Lab, type LabConfigInput, type UserProcess } from '@vdpalab/lab';
import { O_WRONLY } from '@vdpalab/uapi';
import { vdpaDevAdd, vdpaDevDel, vdpaDevNames, vdpaMgmtdevs, VfioVirtio, VhostMdevDevice, VirtioUserNet } from '@vdpalab/user';
import { insmod, moduleFile, modprobe } from '../support/modprobe.ts';
import { groupOf } from '../support/vfio.ts';
import { bind, boundTo, claimPf, unbind, vhostPath } from '../support/world.ts';
import { loadOrder } from '../support/load-order.ts';
import type { Scene } from './walk.ts';

/** A physical function with two virtual ones on a switch, and virtio functions for the drivers and parents that take them. */
export const config: LabConfigInput = {
  memory: '64M',
  pci: {
    root_ports: [{ at: '00:01.0', bus: 7 }, { at: '00:02.0', bus: 8 }],
    functions: [
      { at: '07:00.0', model: 'n3000', link: 'sw0', mac: '52:54:00:00:00:09', queue_size: 64, sriov: { total: 2 } },
      { at: '08:00.0', model: 'connectx', subfunctions: 1, vectors: 8, link: 'sw0' },
      { at: '00:03.0', model: 'virtio-net', link: 'sw0' },
      { at: '00:04.0', model: 'virtio-blk' },
    ],
  },
  networks: [{ name: 'sw0' }],
};
const PF = '0000:07:00.0';

/** A lab in which failures can be made, with these modules and, where asked for, the virtual functions. */
export async function stage(modules: readonly string[], vfs = 2): Promise<Lab> {
  const lab = await createLab({ config, fail: [] });
  await lab.user(async (p) => {
    if (vfs > 0) await modprobe(lab, p, 'pci_pf_stub');
    for (const name of modules) await modprobe(lab, p, name);
    if (vfs === 0) return;
    await claimPf(p, PF);
    await setVfs(p, vfs);
  });
  return lab;
}

/** Switch the virtual functions off and shut down. @returns what was left behind */
export async function strike(lab: Lab): Promise<string[]> {
  await lab.user(async (p) => {
    if (!/^0/.test(await p.readFile(`/sys/bus/pci/devices/${PF}/sriov_numvfs`))) await setVfs(p, 0);
  });
  return await lab.close();
}

async function setVfs(p: UserProcess, count: number): Promise<void> {
  await p.writeFile(`/sys/bus/pci/devices/${PF}/sriov_numvfs`, `${count}\n`, O_WRONLY);
}

/** What a module needs loaded before it. */
export function needsOf(module: BuiltModule): string[] {
  return loadOrder([module.info.name], () => 0).filter((name) => name !== module.info.name);
}

const isLoaded = (lab: Lab, name: string): boolean => lab.loader.modules().some((m) => m.name === name);

/** `insmod` of one module whose needs are loaded. */
export function loading(name: string): Scene {
  return {
    name: `insmod ${name}`, atomic: true,
    act: (lab) => lab.user(() => insmod(lab, moduleFile(lab, name))),
    undo: (lab) => lab.user(async () => {
      if (isLoaded(lab, name)) await lab.symbol('delete_module')(name, 0);
    }),
  };
}

/** `vdpa dev add` on a management device. */
export function adding(mgmtdev: string, name: string): Scene {
  return {
    name: `vdpa dev add ${name} mgmtdev ${mgmtdev}`, atomic: true, slow: mgmtdev === 'vdpasim_blk', // it allocates a disk of 128 MiB
    act: (lab) => lab.user((p) => vdpaDevAdd(p, name, mgmtdev)),
    undo: (lab) => lab.user(async (p) => {
      if ((await vdpaDevNames(p)).includes(name)) await vdpaDevDel(p, name);
    }),
  };
}

/** `echo NAME > bind` on a bus driver. */
export function binding(name: string, driver: string): Scene {
  return {
    name: `bind ${name} to ${driver}`, atomic: true,
    act: (lab) => lab.user((p) => bind(p, name, driver)),
    undo: (lab) => lab.user(async (p) => {
      const bound = await boundTo(p, name);
      if (bound !== null) await unbind(p, name, bound);
    }),
  };
}

/** A driver without ids is given a function by name: its probe runs. */
export function claiming(name: string, driver: string): Scene {
  const dir = `/sys/bus/pci/devices/${name}`;
  return {
    name: `give ${name} to ${driver}`, atomic: false,
    act: (lab) => lab.user(async (p) => {
      await p.writeFile(`${dir}/driver_override`, `${driver}\n`, O_WRONLY);
      await p.writeFile('/sys/bus/pci/drivers_probe', `${name}\n`, O_WRONLY);
    }),
    undo: (lab) => lab.user(async (p) => {
      if ((await p.readdir(`/sys/bus/pci/drivers/${driver}`)).some((e) => e.name === name)) await p.writeFile(`/sys/bus/pci/drivers/${driver}/unbind`, `${name}\n`, O_WRONLY);
      await p.writeFile(`${dir}/driver_override`, '\n', O_WRONLY);
    }),
  };
}

/** A process opens the device, maps its memory, sets up rings and starts the device; then it ends. */
export function opening(name: string): Scene {
  return {
    name: `open and start ${name}`, atomic: false,
    act: (lab) => lab.user(async (p) => void (await VirtioUserNet.start(p, await vhostPath(p, name)))),
    undo: async () => {}, // the process has ended
  };
}

/** `echo 2 > sriov_numvfs` */
export const enablingVfs: Scene = {
  name: 'echo 2 > sriov_numvfs', atomic: true,
  act: (lab) => lab.user((p) => setVfs(p, 2)),
  undo: (lab) => lab.user((p) => setVfs(p, 0)),
};

/** Management devices there are. */
export async function managers(lab: Lab): Promise<string[]> {
  return await lab.user((p) => vdpaMgmtdevs(p));
}

/** Management devices to walk through, one of each driver; software parents are one each. */
export async function oneOfEach(lab: Lab): Promise<string[]> {
  const kinds = new Map<string, string>();
  for (const manager of await managers(lab)) {
    const name = manager.startsWith('pci/') ? manager.slice('pci/'.length) : null;
    const driver = name === null ? manager : await lab.kernel(async () => lab.symbol('all_devices')().find((d) => d.name === name)?.driver?.name ?? '');
    if (!kinds.has(driver)) kinds.set(driver, manager);
  }
  return [...kinds.values()];
}

/** Load every module of the tree, those that the machine has nothing for included; vp_vdpa gets a function of its own. */
export async function loadAll(lab: Lab): Promise<void> {
  await lab.user(async (p) => {
    await p.writeFile('/sys/bus/pci/devices/0000:00:03.0/driver_override', 'vp-vdpa\n', O_WRONLY);
    for (const { info } of lab.builtModules) if (!info.builtin) await modprobe(lab, p, info.name);
  });
}

/** Bind to virtio_vdpa and bring the interface up, whose rings are filled; unbinding takes it all down. */
export function linkingUp(name: string, interfaceName: string): Scene {
  const bound = binding(name, 'virtio_vdpa');
  return {
    name: `bind ${name} to virtio_vdpa, ip link set ${interfaceName} up`, atomic: false, undo: bound.undo,
    act: async (lab) => {
      await bound.act(lab);
      await lab.kernel(async () => {
        const dev = lab.symbol('dev_get_by_name')(interfaceName);
        if (dev !== null) await lab.symbol('dev_open')(dev);
      });
    },
  };
}

/** Take a device's bus driver from it. */
export async function release(lab: Lab, name: string): Promise<void> {
  await lab.user(async (p) => {
    const bound = await boundTo(p, name);
    if (bound !== null) await unbind(p, name, bound);
  });
}

/** A process opens a function that vfio-pci has, maps memory, sets up rings and vectors and starts the device; then it ends. */
export function openingVfio(name: string): Scene {
  return {
    name: `open and start ${name} over VFIO`, atomic: false,
    act: (lab) => lab.user(async (p) => void (await VirtioUserNet.on(p, await VfioVirtio.open(p, await groupOf(p, name), name), { queueSize: 4 }))),
    undo: async () => {}, // the process has ended
  };
}

/** The same on a vDPA device that vhost_mdev has. */
export function openingVhostMdev(name: string): Scene {
  return {
    name: `open and start ${name} over vhost_mdev`, atomic: false,
    act: (lab) => lab.user(async (p) => void (await VirtioUserNet.on(p, await VhostMdevDevice.open(p, name), { queueSize: 64 }))),
    undo: async () => {}, // the process has ended
  };
}
