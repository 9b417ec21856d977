/** Orders in which modules can be loaded one by one. */
import { builtModules } from '@vdpalab/lab';

/**
 * The modules and all they need, dependencies first; which of several possible orders, `pick` says.
 *
 * @param pick an index below the number it is given
 */
export function loadOrder(names: readonly string[], pick: (choices: number) => number): string[] {
  const modules = builtModules();
  const owner = new Map(modules.flatMap((m) => m.info.exports.map((e) => [e.name, m.info] as const)));
  const needs = new Map<string, Set<string>>();
  const visit = (name: string): void => {
    if (needs.has(name)) return;
    const info = modules.find((m) => m.info.name === name)?.info;
    if (info === undefined) throw new Error(`no module ${name}`);
    const deps = new Set<string>();
    needs.set(name, deps);
    for (const { name: symbol } of info.imports) {
      const from = owner.get(symbol);
      if (from !== undefined && !from.builtin && from.name !== name) deps.add(from.name);
    }
    for (const dep of deps) visit(dep);
  };
  for (const name of names) visit(name);
  const order: string[] = [];
  while (order.length < needs.size) {
    const ready = [...needs].filter(([name, deps]) => !order.includes(name) && [...deps].every((d) => order.includes(d))).map(([name]) => name).sort();
    const next = ready[pick(ready.length)];
    if (next === undefined) throw new Error(`modules need each other: ${[...needs.keys()].join(' ')}`);
    order.push(next);
  }
  return order;
}
