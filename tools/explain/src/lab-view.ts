/** A lab as remedies see it. */
import { isKernelError } from '@vdpalab/abi';
import type { Lab, UserProcess } from '@vdpalab/lab';
import type { LabView } from './view.ts';

/** @param p whose rights files are read with */
export function labView(lab: Lab, p: UserProcess): LabView {
  const ask = lab.loader.lookup.bind(lab.loader);
  const quiet = async <T>(body: () => Promise<T>): Promise<T | null> => {
    try {
      return await body();
    } catch (error) {
      if (isKernelError(error)) return null;
      throw error;
    }
  };
  return {
    modules: () => lab.loader.modules().map((m) => ({ name: m.name, refcnt: m.refcnt, holders: m.holders })),
    tree: () => lab.builtModules.filter((m) => !m.info.builtin).map((m) => m.info.name),
    exporterOf: (symbol) => lab.builtModules.find((m) => !m.info.builtin && m.info.exports.some((e) => e.name === symbol))?.info.name ?? null,
    devices: (bus) => (ask('all_devices')?.() ?? []).filter((d) => d.bus !== null && (bus === undefined || d.bus.name === bus))
      .map((d) => ({ name: d.name, bus: d.bus?.name ?? '', driver: d.driver?.name ?? null })),
    drivers: (name) => {
      const bus = ask('find_bus')?.(name) ?? null;
      return bus === null ? [] : (ask('bus_drivers')?.(bus) ?? []).map((d) => d.name);
    },
    managers: () => (ask('vdpa_mgmtdevs')?.() ?? []).map((m) => {
      const bus = m.device.bus?.name;
      return bus === undefined ? m.device.name : `${bus}/${m.device.name}`;
    }),
    openers: (path) => (ask('processes')?.() ?? []).flatMap((proc) => [...proc.files.values()]
      .filter((file) => file.path.startsWith(path)).map((file) => ({ pid: proc.pid, comm: proc.comm, path: file.path }))),
    entries: (path) => quiet(async () => (await p.readdir(path)).map((e) => e.name)),
    text: (path) => quiet(async () => (await p.readFile(path)).trimEnd()),
    interfaces: () => (ask('netdevs')?.() ?? []).map((dev) => dev.name),
  };
}
