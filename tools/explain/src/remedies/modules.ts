/** What would have loaded or unloaded the module. */
import type { LabView, ModuleNow } from '../view.ts';
import type { Remedies } from './index.ts';
import { listed, nearest, subject } from './near.ts';

/** Modules to remove so that this one can go, in order, itself last. */
export function removalOrder(name: string, modules: readonly ModuleNow[]): string[] {
  const order: string[] = [];
  const visit = (module: string): void => {
    if (order.includes(module)) return;
    for (const holder of modules.find((m) => m.name === module)?.holders ?? []) visit(holder);
    order.push(module);
  };
  visit(name);
  return order;
}

/** What keeps references of a module other than users: bound devices and open files. */
function keepers(module: string, view: LabView): string[] {
  const bound = view.devices().filter((d) => d.driver?.replaceAll('-', '_') === module)
    .map((d) => `echo ${d.name} > /sys/bus/${d.bus}/drivers/${d.driver ?? ''}/unbind`);
  const open = view.openers(`/dev/${module.replaceAll('_', '-')}`).map((o) => `close ${o.path}, which ${o.comm}[${o.pid}] has open`);
  return [...open, ...bound];
}

/** Modules that export what could not be linked. */
function providers(text: string, view: LabView): { readonly load: readonly string[]; readonly nobody: readonly string[] } {
  const symbols = [...text.matchAll(/(\w+) \(ENOENT\)/g)].map((m) => m[1] ?? '');
  const loaded = new Set(view.modules().map((m) => m.name));
  const load = new Set<string>();
  const nobody: string[] = [];
  for (const symbol of symbols) {
    const owner = view.exporterOf(symbol);
    if (owner === null) nobody.push(symbol);
    else if (!loaded.has(owner)) load.add(owner);
  }
  return { load: [...load], nobody };
}

export const moduleRemedies: Remedies = {
  'module.unload.users': (error, view) => `rmmod ${removalOrder(subject(error.message), view.modules()).join(' ')}`,
  'module.unload.name': (error, view) => {
    const name = subject(error.message);
    const loaded = view.modules().map((m) => m.name);
    const meant = nearest(name, loaded);
    return meant !== null ? `rmmod ${meant}` : `name one of the loaded modules: ${listed(loaded, 'none is loaded')}`;
  },
  'module.unload.refs': (error, view) => {
    const module = subject(error.message);
    const steps = keepers(module, view);
    return steps.length === 0 ? null : [...steps, `rmmod ${module}`].join(' ; ');
  },
  'module.load.symbols': (error, view) => {
    const module = subject(error.message);
    const { load, nobody } = providers(error.message, view);
    if (load.length > 0) return `modprobe ${module}, which loads ${load.join(', ')} first`;
    return nobody.length === 0 ? null : `nothing in the tree exports ${listed(nobody, '')}: add the module that does`;
  },
  'module.load.name': (error) => (error.errno === 'EEXIST' ? `nothing: ${subject(error.message)} is loaded; to load it anew, rmmod it first` : null),
};
