/** What loading a module means: the list of steps, each with its reason. `kmod_module_get_probe_list` of kmod 30. */
import { firstFor, isBlacklisted, optionsFor } from './config.ts';
import type { Config } from './config.ts';
import { witnesses } from './depmod.ts';
import type { DepGraph } from './depmod.ts';
import { lookup } from './lookup.ts';
import type { Found } from './lookup.ts';
import type { ModuleIndex } from './modindex.ts';
import { moduleName } from './names.ts';

/** What made a step necessary. */
export type StepOrigin = 'request' | 'dependency' | 'softdep pre' | 'softdep post';

/** One step of a plan. */
export interface PlanStep {
  /** `insmod` a file, run an `install` command, nothing for a `builtin`, or `missing`: a name without a file. */
  readonly kind: 'insmod' | 'install' | 'builtin' | 'missing';
  readonly module: string;
  /** Absolute path of the file. */
  readonly path: string | null;
  /** The install command, `$CMDLINE_OPTS` not yet replaced. */
  readonly command: string | null;
  /** Parameters for the kernel; ends in a blank when they come from modprobe.d alone, as modprobe has it. */
  readonly options: string;
  /** Whether the module was loaded or built in when the plan was made. */
  readonly loaded: boolean;
  /** Whether a failure ends the plan; a softdep's does not. */
  readonly required: boolean;
  readonly origin: StepOrigin;
  /** For people: `vhost_vdpa needs vhost: vhost_dev_init, vhost_dev_ioctl (+9)`. */
  readonly why: string;
}

/** The plan for one module that the request led to. */
export interface ModulePlan {
  readonly found: Found;
  /** `load`, or why there is nothing to do. */
  readonly verdict: 'load' | 'already' | 'blacklisted';
  readonly steps: readonly PlanStep[];
  /** Files that modules.dep names and that are not there; a module with one counts as having no dependencies. */
  readonly missing: readonly { readonly path: string; readonly of: string }[];
}

/** The plan for a request; several modules when an alias matches several. */
export interface Plan {
  readonly request: string;
  /** Empty: not found. */
  readonly modules: readonly ModulePlan[];
}

/** What a plan is made for. */
export interface PlanRequest {
  readonly name: string;
  /** Parameters from the command line, for the found modules only. */
  readonly options?: string;
  /** `-i`: no install command and no softdeps for the found modules. */
  readonly ignoreCommands?: boolean;
  /** `-b`: the blacklist counts for names too. */
  readonly useBlacklist?: boolean;
  /** `--show-depends`: as if nothing were loaded. */
  readonly ignoreLoaded?: boolean;
}

/** What the planner knows of the world. */
export interface PlanWorld {
  readonly index: ModuleIndex;
  readonly config: Config;
  /** Whether a module is live or built in. */
  readonly isLoaded: (module: string) => boolean;
  /** Whether a file of modules.dep is there; absent, all are. */
  readonly exists?: (path: string) => boolean;
  /** Symbols behind the dependencies; absent, reasons say modules.dep. */
  readonly graph?: DepGraph;
}

/** Plan a request. */
export function resolve(request: PlanRequest, world: PlanWorld): Plan {
  return {
    request: request.name,
    modules: lookup(request.name, world.index, world.config).map((found) => planModule(found, request, world)),
  };
}

/** Plan one of the modules that a request leads to. */
export function planModule(found: Found, request: PlanRequest, world: PlanWorld): ModulePlan {
  if (request.ignoreLoaded !== true && world.isLoaded(found.module)) return { found, verdict: 'already', steps: [], missing: [] };
  if (isBlacklisted(world.config, found.module) && (found.alias !== null || request.useBlacklist === true)) {
    return { found, verdict: 'blacklisted', steps: [], missing: [] };
  }
  const builder = new Builder(found, request, world);
  builder.probeList(found, { origin: 'request', why: `${found.module} was asked for as ${request.name} (${found.by})` }, true, request.ignoreCommands === true);
  return { found, verdict: 'load', steps: builder.steps, missing: builder.missing };
}

interface Reason {
  readonly origin: StepOrigin;
  readonly why: string;
}

class Builder {
  readonly steps: PlanStep[] = [];
  readonly missing: { path: string; of: string }[] = [];
  readonly #root: Found;
  readonly #request: PlanRequest;
  readonly #world: PlanWorld;
  readonly #visited = new Set<string>();
  readonly #required = new Set<string>();

  constructor(root: Found, request: PlanRequest, world: PlanWorld) {
    this.#root = root;
    this.#request = request;
    this.#world = world;
  }

  /** A module with everything before and after it. */
  probeList(of: Found, reason: Reason, required: boolean, plain = false): void {
    const key = keyOf(of);
    if (this.#visited.has(key)) return;
    this.#visited.add(key);
    const deps = this.#dependencies(of.module);
    if (required) for (const name of [key, ...deps]) this.#required.add(name);
    for (const dep of deps) {
      this.#withSoftdeps({ module: dep, alias: null, by: 'modules.dep' }, { origin: 'dependency', why: this.#whyNeeded(of.module, dep, deps) });
    }
    if (plain) this.#step(of, reason, true);
    else this.#withSoftdeps(of, reason);
  }

  /** A module between its soft dependencies; with any of them its install command does not count. */
  #withSoftdeps(of: Found, reason: Reason): void {
    const soft = firstFor(this.#world.config.softdeps, of.module);
    const lookAll = (names: readonly string[] = []): Found[] => names.flatMap((name) => lookup(name, this.#world.index, this.#world.config));
    const pre = lookAll(soft?.pre);
    const post = lookAll(soft?.post);
    const why = (kind: 'pre' | 'post', name: string): Reason => ({
      origin: `softdep ${kind}`, why: `${of.module} asks for ${name} ${kind === 'pre' ? 'before' : 'after'} it (${soft?.file}:${soft?.line})`,
    });
    for (const p of pre) this.probeList(p, why('pre', p.module), false);
    this.#step(of, reason, pre.length > 0 || post.length > 0);
    for (const p of post) this.probeList(p, why('post', p.module), false);
  }

  #step(of: Found, reason: Reason, ignoreCommand: boolean): void {
    const { index, config } = this.#world;
    const file = index.modules.get(of.module);
    const install = ignoreCommand ? undefined : firstFor(config.installs, of.module);
    const path = file === undefined ? null : index.absolute(file.path);
    const kind = install !== undefined ? 'install' : path !== null ? 'insmod' : of.builtin === true || index.isBuiltin(of.module) ? 'builtin' : 'missing';
    this.steps.push({
      kind, path, module: of.module, command: install?.text ?? null, ...reason,
      options: this.#options(of),
      loaded: this.#world.isLoaded(of.module),
      required: this.#required.has(keyOf(of)),
    });
  }

  /** Options of modprobe.d, a blank, and those of the command line, which only the found module gets. */
  #options(of: Found): string {
    const configured = optionsFor(this.#world.config, of.module, of.alias);
    const typed = keyOf(of) === keyOf(this.#root) ? this.#request.options ?? '' : '';
    return configured === null ? typed : `${configured} ${typed}`;
  }

  /** Names of all dependencies in the order they are loaded; none when one of the files is missing. */
  #dependencies(module: string): string[] {
    const { index, exists } = this.#world;
    const paths = index.modules.get(module)?.deps ?? [];
    const gone = exists === undefined ? undefined : [...paths].find((path) => !exists(index.absolute(path)));
    if (gone !== undefined) {
      this.missing.push({ path: index.absolute(gone), of: module });
      return [];
    }
    return [...paths].reverse().map(moduleName);
  }

  /** Which of the modules being loaded needs this one, and for which symbols. */
  #whyNeeded(module: string, dep: string, deps: readonly string[]): string {
    const graph = this.#world.graph;
    if (graph === undefined) return `${module} needs ${dep} (modules.dep)`;
    const node = (name: string) => graph.nodes.find((n) => n.module.name === name);
    const provider = node(dep);
    for (const name of [module, ...[...deps].reverse()]) {
      const user = node(name);
      if (user === undefined || provider === undefined) continue;
      const symbols = witnesses(graph, user.module, provider.module);
      if (symbols.length > 0) return `${name} needs ${dep}: ${abridge(symbols)}`;
    }
    return `${module} needs ${dep} (modules.dep)`;
  }
}

function keyOf(found: Found): string {
  return found.alias === null ? found.module : `${found.module}\\${found.alias}`;
}

/** The first two names and how many more there are. */
export function abridge(names: readonly string[]): string {
  const shown = names.slice(0, 2).join(', ');
  return names.length > 2 ? `${shown} (+${names.length - 2})` : shown;
}
