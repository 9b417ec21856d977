/**
 * /sys/module, rendered from what the loader tells.
 *
 * Mirrors `kernel/module/sysfs.c`, `kernel/params.c` and `drivers/base/module.c` (Linux 6.1).
 */
import type { ModuleEvent, ModuleView } from '@vdpalab/abi';
import type { DirNode } from '@vdpalab/fs';
import { CAP_SYSLOG } from '@vdpalab/uapi';
import { SysfsFiles } from './files.ts';
import type { DeviceDriver } from './header.ts';
import type { Kernel } from './kernel.ts';
import { synthUevent } from './uevent.ts';
import type { Uevents } from './uevent.ts';

const asciiBytes = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));

interface ModuleDir {
  readonly dir: DirNode;
  readonly files: SysfsFiles;
  /** null for a built-in one, which has no use count. */
  readonly holders: DirNode | null;
  drivers: DirNode | null;
  announced: boolean;
}

/** The directories of modules, by name. */
export class ModuleDirs {
  readonly #k: Kernel;
  readonly #uevents: Uevents;
  readonly #root: DirNode;
  readonly #dirs = new Map<string, ModuleDir>();

  constructor(k: Kernel, uevents: Uevents, root: DirNode) {
    this.#k = k;
    this.#uevents = uevents;
    this.#root = root;
  }

  /** Follow one event of the loader. */
  notify(event: ModuleEvent): undefined {
    const { action, module } = event;
    if (action === 'coming' || (action === 'live' && module.builtin)) this.#add(module); // built-in ones are never seen coming
    if (action === 'live') this.#announce(module);
    if (action === 'gone') this.#remove(module.name);
  }

  /** Link a driver with its owner's directory. @returns takes the links away */
  addDriver(drv: DeviceDriver, dir: DirNode): () => void {
    const owner = drv.owner === null ? undefined : this.#dirs.get(drv.owner.name);
    if (owner === undefined) return () => undefined;
    const name = `${drv.bus.name}:${drv.name}`;
    owner.drivers ??= this.#k.kernfs_create_dir(owner.dir, 'drivers');
    const { drivers } = owner;
    const undo = (): void => {
      this.#k.kernfs_remove_by_name(dir, 'module');
      this.#k.kernfs_remove_by_name(drivers, name);
    };
    try {
      this.#k.kernfs_create_link(dir, 'module', owner.dir);
      this.#k.kernfs_create_link(drivers, name, dir);
    } catch (error) {
      undo();
      throw error;
    }
    return undo;
  }

  #add(module: ModuleView): void {
    // A built-in module is seen only when it has something to show.
    if (module.builtin && module.version === undefined && module.parameters.every((p) => p.perm === 0)) return;
    const { name } = module;
    const dir = this.#k.kernfs_create_dir(this.#root, name);
    const files = new SysfsFiles(this.#k, `module ${name}`);
    try {
      const entry: ModuleDir = {
        dir, files, drivers: null, announced: false,
        holders: module.builtin ? null : this.#k.kernfs_create_dir(dir, 'holders'),
      };
      this.#dirs.set(name, entry);
      this.#addFiles(module, entry);
      if (!module.builtin) this.#link(module);
    } catch (error) {
      if (this.#dirs.has(name)) this.#remove(name);
      else this.#k.kernfs_remove(dir);
      throw error;
    }
  }

  #addFiles(module: ModuleView, { dir, files }: ModuleDir): void {
    const path = `/module/${module.name}`;
    const show = (name: string, value: () => string): void => void files.file(dir, name, 0o444, { show: async () => `${value()}\n` });
    files.file(dir, 'uevent', 0o200, {
      store: async (text) => synthUevent(this.#k, path, text, (action, env) => this.#uevents.send(path, 'module', action, env)),
    });
    const { version, srcversion } = module;
    if (version !== undefined) show('version', () => version);
    if (srcversion !== undefined) show('srcversion', () => srcversion);
    if (!module.builtin) {
      show('initstate', () => module.state);
      show('refcnt', () => String(module.refcnt));
      show('coresize', () => String(module.size));
      show('initsize', () => String(module.initSize));
      show('taint', () => module.taint);
      this.#sections(module, dir, files);
    }
    const visible = module.parameters.filter((p) => p.perm !== 0);
    if (visible.length === 0) return;
    const parameters = this.#k.kernfs_create_dir(dir, 'parameters');
    for (const p of visible) {
      files.file(parameters, p.name, p.perm, {
        show: async () => `${p.show()}\n`,
        ...((p.perm & 0o222) === 0 ? {} : { store: async (text: string) => p.store(text) }),
      });
    }
  }

  /** `sections/`, whose addresses only who may see the kernel's is told, and `notes/`. */
  #sections(module: ModuleView, dir: DirNode, files: SysfsFiles): void {
    const sections = this.#k.kernfs_create_dir(dir, 'sections');
    for (const { name, address } of module.sections) {
      const text = (): string => `0x${(this.#k.capable(CAP_SYSLOG) ? address : 0n).toString(16).padStart(16, '0')}\n`;
      files.bin(sections, name, 0o400, { size: 19, read: async (pos, len) => asciiBytes(text()).slice(pos, pos + len) });
    }
    const notes = this.#k.kernfs_create_dir(dir, 'notes');
    for (const { name, bytes } of module.notes) {
      files.bin(notes, name, 0o444, { size: bytes.length, read: async (pos, len) => bytes.slice(pos, pos + len) });
    }
  }

  /** Show the module as a holder of those it uses. */
  #link(module: ModuleView): void {
    const own = this.#dirs.get(module.name);
    if (own === undefined) return;
    for (const used of this.#k.modules()) {
      const { holders } = this.#dirs.get(used.name) ?? { holders: null };
      if (holders === null || !used.holders.includes(module.name)) continue;
      if (this.#k.kernfs_find(holders, module.name) === null) this.#k.kernfs_create_link(holders, module.name, own.dir);
    }
  }

  #announce(module: ModuleView): void {
    const entry = this.#dirs.get(module.name);
    if (entry === undefined || module.builtin) return;
    this.#link(module); // references taken while it started
    entry.announced = true;
    this.#uevents.send(`/module/${module.name}`, 'module', 'add');
  }

  #remove(name: string): void {
    const entry = this.#dirs.get(name);
    if (entry === undefined) return;
    this.#dirs.delete(name);
    for (const { holders } of this.#dirs.values()) if (holders !== null) this.#k.kernfs_remove_by_name(holders, name);
    if (entry.announced) this.#uevents.send(`/module/${name}`, 'module', 'remove');
    entry.files.removeAll();
    this.#k.kernfs_remove(entry.dir);
  }
}
