/** The loader's half of a test kernel: references, states and notifiers, without images, versions or licences. */
import type { KModule, ModuleDefinition, ModuleEvent, ModuleParameter, ModuleState, ModuleView, ParamSpecs } from '@vdpalab/abi';

/** A module of a test kernel. */
export class TestModule implements ModuleView {
  readonly name: string;
  readonly builtin: boolean;
  readonly version: string | undefined;
  readonly parameters: readonly ModuleParameter[];
  readonly srcversion = undefined;
  readonly size = 16384;
  readonly initSize = 0;
  readonly sections = [{ name: '.text', address: 0xffffffffc0201000n }];
  readonly notes = [{ name: '.note.Linux', bytes: new Uint8Array(4) }];
  readonly taint = 'OE';
  readonly address = 0xffffffffc0201000n;
  readonly permanent = false;
  state: ModuleState = 'coming';
  refcnt = 0;
  /** Modules that use it, newest first. */
  readonly holders: string[] = [];

  constructor(definition: Pick<ModuleDefinition, 'name' | 'builtin' | 'version'> & { readonly params: ParamSpecs }, values: Record<string, unknown>) {
    this.name = definition.name;
    this.builtin = definition.builtin;
    this.version = definition.version;
    this.parameters = Object.entries(definition.params).map(([name, spec]) => ({
      name,
      perm: spec.perm,
      show: () => spec.show(values[name]),
      store: (text): undefined => {
        values[name] = spec.schema.parse(text);
      },
    }));
  }
}

/** What is loaded, newest first. */
export class ModuleTable {
  readonly modules: TestModule[] = [];
  readonly #notifiers: ((event: ModuleEvent) => undefined)[] = [];

  tell(action: ModuleEvent['action'], module: TestModule): void {
    for (const notify of [...this.#notifiers]) notify({ action, module });
  }

  find(name: string): TestModule | null {
    return this.modules.find((m) => m.name === name.replaceAll('-', '_')) ?? null;
  }

  /** Symbols the loader exports, as far as built-in modules ask for them. */
  symbols(): Record<string, unknown> {
    const own = (module: KModule | null): TestModule | null => (module instanceof TestModule && !module.builtin ? module : null);
    return {
      modules: () => this.modules.filter((m) => !m.builtin),
      find_module: (name: string) => this.find(name),
      register_module_notifier: (notify: (event: ModuleEvent) => undefined): undefined => void this.#notifiers.push(notify),
      unregister_module_notifier: (notify: (event: ModuleEvent) => undefined): undefined => {
        this.#notifiers.splice(this.#notifiers.indexOf(notify), 1);
      },
      try_module_get: (module: KModule | null): boolean => {
        const mine = own(module);
        if (mine?.state === 'going') return false;
        if (mine !== null) mine.refcnt++;
        return true;
      },
      __module_get: (module: KModule | null): undefined => {
        const mine = own(module);
        if (mine !== null) mine.refcnt++;
      },
      module_put: (module: KModule | null): undefined => {
        const mine = own(module);
        if (mine !== null) mine.refcnt--;
      },
      tainted: () => 4096,
      add_taint: (): undefined => undefined,
    };
  }
}
