/**
 * The kernel's half of module loading. Mirrors `kernel/module/main.c` (Linux 6.1).
 *
 * A load is a list of steps, each with its undo; the first that fails gives back everything before it.
 */
import { KernelError, UndoStack, versionCodeOf } from '@vdpalab/abi';
import type { KernelSymbols, KModule, ModuleView, SymbolName } from '@vdpalab/abi';
import { parameterFiles, parseArgs, setDefaults } from './args.ts';
import { checkBlacklist, checkModversions, checkSignature, checkVermagic, taintByOrigin, taintBySignature } from './check.ts';
import type { LoaderHost, LoadStep } from './host.ts';
import { MODULE_INIT_COMPRESSED_FILE, MODULE_INIT_IGNORE_MODVERSIONS, MODULE_INIT_IGNORE_VERMAGIC, O_TRUNC } from './image.ts';
import type { ModuleImage } from './image.ts';
import { KernelTaint } from './kernel-taint.ts';
import { ModuleArea } from './layout.ts';
import { linkSymbols, verifyExports } from './link.ts';
import { LoadedModule, own, sameName, unsettled } from './loaded.ts';
import { NotifierChain } from './notifier.ts';
import type { Notify } from './notifier.ts';
import { ownSymbols } from './own-symbols.ts';
import { ModuleRequests } from './request-module.ts';
import { SymbolTable } from './symtab.ts';
import type { SymbolInfo } from './symtab.ts';
import { TAINT } from './taint.ts';

const KNOWN_FLAGS = MODULE_INIT_IGNORE_MODVERSIONS | MODULE_INIT_IGNORE_VERMAGIC | MODULE_INIT_COMPRESSED_FILE;

/** One kernel's module loader. */
export class Loader {
  readonly #host: LoaderHost;
  readonly #taint: KernelTaint;
  readonly #symbols = new SymbolTable();
  readonly #notifiers = new NotifierChain();
  readonly #area = new ModuleArea();
  readonly #requests: ModuleRequests;
  /** Newest first, as `/proc/modules` lists them. */
  readonly #modules: LoadedModule[] = [];
  /** In boot order. */
  readonly #builtins: LoadedModule[] = [];

  constructor(host: LoaderHost) {
    this.#host = host;
    this.#taint = new KernelTaint(host);
    this.#requests = new ModuleRequests(host);
    this.provide(ownSymbols(this, host));
  }

  /**
   * Add symbols of the kernel image itself, as `vmlinux` does before any module is loaded.
   *
   * @throws Error when a name is taken: a mistake of whoever builds the kernel
   */
  provide(symbols: Partial<KernelSymbols>): void {
    for (const [name, value] of Object.entries(symbols)) {
      this.#symbols.add({ name, value, owner: null, gplOnly: false, namespace: '', crc: undefined });
    }
  }

  /**
   * Load a module.
   *
   * @param args parameters, as on insmod's command line
   * @param flags `MODULE_INIT_*`
   * @throws EPERM without the right to, or when the name is blacklisted
   * @throws EINVAL for unknown flags, a symbol of another version or of a namespace not imported, a bad parameter value
   * @throws ENOEXEC when version magic or module layout differ, or an exported symbol exists already
   * @throws ERESTARTSYS when a signal ends the wait for another load of the name
   * @throws EEXIST when the name is live; EBUSY when it is going, or was coming and failed
   * @throws ENOENT when a symbol is unknown
   * @throws EKEYREJECTED when the signature does not hold, or signatures are enforced and there is none; EBADMSG when it cannot be read
   * @throws KernelError what `module_init` throws; anything else it throws is a bug and comes out as it is
   */
  async load(image: ModuleImage, args = '', flags = 0): Promise<ModuleView> {
    const mod = new LoadedModule(image, false);
    const undo = new UndoStack();
    try {
      await this.#load(mod, args, flags, undo);
    } catch (error) {
      await this.#abort(undo, error);
    }
    return mod;
  }

  async #load(mod: LoadedModule, args: string, flags: number, undo: UndoStack): Promise<void> {
    const host = this.#host;
    this.#step('permission', mod);
    this.#mayInit(mod.name);
    if ((flags & ~KNOWN_FLAGS) !== 0) throw new KernelError('EINVAL', 'module.load.flags', `${mod.name}: flags ${flags} have bits that mean nothing`);
    this.#step('signature', mod);
    const trusted = checkSignature(mod, flags, host);
    this.#step('blacklist', mod);
    checkBlacklist(mod, host);
    this.#step('modversions', mod);
    const crcs = checkModversions(mod, flags, host, this.#taint);
    this.#step('vermagic', mod);
    checkVermagic(mod, flags, crcs !== null, host, this.#taint);
    taintByOrigin(mod, host, this.#taint);
    this.#step('duplicate', mod);
    await this.#reserveName(mod);
    undo.push('name', () => this.#free(mod));
    this.#step('taints', mod);
    taintBySignature(mod, trusted, this.#taint);
    mod.startRefs();
    this.#step('symbols', mod);
    undo.push('use edges', () => mod.dropUses());
    const linked = await linkSymbols(mod, { host, symbols: this.#symbols, taint: this.#taint, crcs });
    this.#step('exports', mod);
    this.#export(mod, undo);
    this.#declareParameters(mod); // what observers of `coming` make files of
    mod.state = 'coming';
    this.#step('coming', mod);
    this.#notifiers.coming(mod);
    undo.push('coming', () => this.#leave(mod));
    this.#step('parameters', mod);
    parseArgs(mod.name, args, mod.image.definition.params, mod.values, host.printk);
    this.#step('init', mod);
    await this.#init(mod, linked, undo);
    this.#step('live', mod);
    mod.state = 'live';
    this.#notifiers.call('live', mod);
    mod.put(); // the reference held during init
    host.wake();
  }

  /**
   * Start a part of the kernel image: its exports are the kernel's own, it has no use edges and no state of loading.
   *
   * @param args parameters, without the `module.` that the kernel command line has
   * @throws ENOENT when a symbol is unknown, ENOEXEC when one is exported twice, EEXIST when the name is taken
   */
  async loadBuiltin(image: ModuleImage, args = ''): Promise<ModuleView> {
    const mod = new LoadedModule(image, true);
    const undo = new UndoStack();
    try {
      if (this.#find(mod.name) !== undefined) throw new KernelError('EEXIST', 'module.builtin.name', `${mod.name}: the name is taken`);
      const linked = await linkSymbols(mod, { host: this.#host, symbols: this.#symbols, taint: this.#taint, crcs: 'unchecked' });
      this.#export(mod, undo);
      this.#declareParameters(mod);
      parseArgs(mod.name, args, image.definition.params, mod.values, this.#host.printk);
      mod.state = 'coming';
      await this.#init(mod, linked, undo);
      mod.state = 'live';
      this.#builtins.push(mod);
      undo.push('list', () => void this.#builtins.pop());
      this.#notifiers.call('live', mod);
    } catch (error) {
      await this.#abort(undo, error);
    }
    return mod;
  }

  /**
   * Unload a module.
   *
   * @param flags `O_TRUNC` forces, with taint R; a user module still keeps it
   * @throws EPERM without the right to
   * @throws ENOENT when there is no such module; a built-in one is none
   * @throws EAGAIN when a module uses it, or references are held and it is not forced
   * @throws EBUSY when it is not live, or has no exit and it is not forced
   */
  async unload(name: string, flags = 0): Promise<void> {
    this.#mayInit(name);
    const mod = this.#modules.find((m) => sameName(m.name, name) && m.state !== 'unformed');
    if (mod === undefined) throw new KernelError('ENOENT', 'module.unload.name', `${name}: not loaded`);
    if (mod.users.length > 0) throw new KernelError('EAGAIN', 'module.unload.users', `${mod.name}: used by ${mod.holders.join(', ')}`);
    if (mod.state !== 'live') throw new KernelError('EBUSY', 'module.unload.state', `${mod.name}: ${mod.state}`);
    if (mod.permanent && !this.#forceUnload(flags)) {
      throw new KernelError('EBUSY', 'module.unload.permanent', `${mod.name}: has no exit`);
    }
    if (!mod.tryRelease() && !this.#forceUnload(flags)) {
      throw new KernelError('EAGAIN', 'module.unload.refs', `${mod.name}: ${mod.refcnt} references are held`);
    }
    await this.#remove(mod);
  }

  /**
   * Run the exits of all modules, newest first, then of the built-ins, newest first; nothing may be loading meanwhile.
   *
   * @throws AggregateError of what exits threw; all of them have run
   */
  async shutdown(): Promise<void> {
    const failures: unknown[] = [];
    const attempt = async (body: () => Promise<void>): Promise<void> => {
      try {
        await body();
      } catch (error) {
        failures.push(error);
      }
    };
    for (;;) {
      const next = this.#modules.find((m) => m.state === 'live' && m.users.length === 0);
      if (next === undefined) break;
      await attempt(() => this.#remove(next));
    }
    for (let mod = this.#builtins.pop(); mod !== undefined; mod = this.#builtins.pop()) {
      const last = mod;
      last.state = 'going';
      await attempt(() => this.#exit(last));
      this.#symbols.removeOwner(last);
    }
    if (failures.length > 0) throw new AggregateError(failures, `${failures.length} modules failed to exit`);
  }

  /** Loaded modules, newest first, with those coming and going; built-in ones excluded. */
  modules(): readonly ModuleView[] {
    return this.#modules.filter((m) => m.state !== 'unformed');
  }

  /** Built-in modules in boot order. */
  builtins(): readonly ModuleView[] {
    return [...this.#builtins];
  }

  /** The module of that name (`-` and `_` equal), built-in ones included. */
  find_module(name: string): ModuleView | null {
    const mod = this.#find(name);
    return mod === undefined || mod.state === 'unformed' ? null : mod;
  }

  /** Every exported symbol with its owner. */
  symbols(): readonly SymbolInfo[] {
    return this.#symbols.list();
  }

  /** A symbol's value, for the lab and its doors; `undefined` when nobody exports it or its owner's init still runs. */
  lookup<S extends SymbolName>(name: S): KernelSymbols[S] | undefined {
    return this.#symbols.find(name, true)?.value as KernelSymbols[S] | undefined; // typed where it was exported
  }

  /** Kernel taint bits, as `/proc/sys/kernel/tainted` sums them. */
  tainted(): number {
    return this.#taint.bits;
  }

  /** Taint the kernel for a reason outside module loading: `add_taint`. @param bit one of `TAINT` */
  addTaint(bit: number): undefined {
    this.#taint.add(bit);
  }

  /** See the symbol of this name. */
  request_module(name: string): Promise<number> {
    return this.#requests.request(name);
  }

  register_module_notifier(notify: Notify): undefined {
    this.#notifiers.add(notify);
  }

  unregister_module_notifier(notify: Notify): undefined {
    this.#notifiers.remove(notify);
  }

  try_module_get(module: KModule | null): boolean {
    return module === null || own(module).tryGet();
  }

  __module_get(module: KModule | null): undefined {
    if (module !== null) own(module).get();
  }

  module_put(module: KModule | null): undefined {
    if (module === null) return undefined;
    own(module).put();
    this.#host.wake();
    return undefined;
  }

  /** What is still in the tables, for leak checks: modules, and symbols of modules; empty after a clean shutdown. */
  residue(): readonly string[] {
    return [
      ...this.#modules.map((m) => `module ${m.name} (${m.state}, ${m.refcnt} references)`),
      ...this.#builtins.map((m) => `built-in ${m.name}`),
      ...this.#symbols.list().filter((s) => s.owner !== 'vmlinux').map((s) => `symbol ${s.name} of ${s.owner}`),
      ...(this.#area.size > this.#modules.length ? [`${this.#area.size} address ranges for ${this.#modules.length} modules`] : []),
    ];
  }

  #step(step: LoadStep, mod: LoadedModule): void {
    this.#host.onStep?.(step, mod.name);
  }

  #mayInit(subject: string): void {
    if (this.#host.capable?.() === false) throw new KernelError('EPERM', 'module.capable', `${subject}: CAP_SYS_MODULE is missing, or modules are disabled`);
  }

  #find(name: string): LoadedModule | undefined {
    return [...this.#modules, ...this.#builtins].find((m) => sameName(m.name, name));
  }

  /** `add_unformed_module`: the name is taken from here on. */
  async #reserveName(mod: LoadedModule): Promise<void> {
    const taken = (): LoadedModule | undefined => this.#find(mod.name);
    let old = taken();
    if (old !== undefined && unsettled(old)) {
      await this.#host.wait({ what: `load of module ${mod.name} by another task` }, () => !unsettled(taken()));
      old = taken();
      if (old === undefined) throw new KernelError('EBUSY', 'module.load.again', `${mod.name}: another load of it has just failed`);
    }
    if (old !== undefined) {
      throw new KernelError(old.state === 'live' ? 'EEXIST' : 'EBUSY', 'module.load.name', `${mod.name}: the name is ${old.state}`);
    }
    mod.address = this.#area.alloc(mod.size);
    this.#modules.unshift(mod);
  }

  /** `free_module`: the last step out. */
  #free(mod: LoadedModule): void {
    mod.state = 'unformed';
    this.#modules.splice(this.#modules.indexOf(mod), 1);
    this.#area.free(mod.address);
    this.#host.wake();
  }

  /** Put the exports into the symbol table, as names that the init will define. */
  #export(mod: LoadedModule, undo: UndoStack): void {
    const { exports, exportsGpl, exportsNs } = mod.image.definition;
    const all = [
      ...exports.map((name) => ({ name, gplOnly: false, namespace: '' })),
      ...exportsGpl.map((name) => ({ name, gplOnly: true, namespace: '' })),
      ...Object.entries(exportsNs).flatMap(([namespace, names]) => names.map((name) => ({ name, gplOnly: true, namespace }))),
    ];
    verifyExports(mod, all.map((s) => s.name), { host: this.#host, symbols: this.#symbols });
    undo.push('exports', () => this.#symbols.removeOwner(mod));
    for (const symbol of all) this.#symbols.add({ ...symbol, owner: mod, value: undefined, crc: mod.image.info.crcs[symbol.name] });
  }

  #declareParameters(mod: LoadedModule): void {
    const { params } = mod.image.definition;
    setDefaults(params, mod.values);
    mod.parameters = parameterFiles(mod.name, params, mod.values, this.#host.printk);
  }

  /** `do_init_module`, and the symbol table's functions. */
  async #init(mod: LoadedModule, linked: Readonly<Record<string, unknown>>, undo: UndoStack): Promise<void> {
    undo.push('init', () => mod.undo.run());
    const { definition } = mod.image;
    const handed = this.#host.bindSymbols?.(mod, linked) ?? linked;
    const LINUX_VERSION_CODE = this.#host.linuxVersionCode ?? versionCodeOf('6.1');
    const result = await definition.module_init(Object.freeze(handed), { THIS_MODULE: mod, LINUX_VERSION_CODE, params: mod.values, undo: mod.undo });
    if (result.module_exit) {
      const exit = result.module_exit;
      undo.push('exit', () => exit()); // only if a later step fails
    }
    for (const name of [...definition.exports, ...definition.exportsGpl, ...Object.values(definition.exportsNs).flat()]) {
      const value = result.ksymtab[name];
      if (value === undefined) throw new Error(`${mod.name}: exports ${name}, but its init defined none`);
      this.#symbols.define(name, mod, value);
    }
    mod.exit = result.module_exit;
    mod.permanent = result.module_exit === null;
    const returned = result.returned ?? 0;
    if (returned > 0) {
      this.#host.printk(4, `do_init_module: '${mod.name}'->init suspiciously returned ${returned}, it should follow 0/-E convention\n`
        + 'do_init_module: loading module anyway...'); // one record of two lines
    }
  }

  /** The way out of `coming`: observers hear `going`, then `gone`. */
  #leave(mod: LoadedModule): void {
    mod.state = 'going';
    this.#notifiers.call('going', mod);
    this.#notifiers.call('gone', mod);
  }

  /** Give back what a failed load took, then fail with its reason. */
  async #abort(undo: UndoStack, error: unknown): Promise<never> {
    try {
      await undo.run();
    } catch (second) {
      throw new AggregateError([error, second], 'a load failed, and giving back what it took failed as well');
    }
    throw error;
  }

  #forceUnload(flags: number): boolean {
    if ((flags & O_TRUNC) === 0) return false;
    this.#taint.add(TAINT.FORCED_RMMOD);
    return true;
  }

  async #remove(mod: LoadedModule): Promise<void> {
    mod.state = 'going';
    try {
      await this.#exit(mod);
    } finally {
      this.#symbols.removeOwner(mod);
      this.#notifiers.call('going', mod);
      mod.dropUses();
      this.#notifiers.call('gone', mod);
      this.#free(mod);
    }
  }

  /** `module_exit`, then the undo stack, whatever the first threw. */
  async #exit(mod: LoadedModule): Promise<void> {
    try {
      await mod.exit?.();
    } finally {
      await mod.undo.run();
    }
  }
}
