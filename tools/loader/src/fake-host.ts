/** A host for tests: a log, waiters that wake when their condition holds, and a hand-turned timeout. */
import type { Atomic } from '@vdpalab/abi';
import type { LoaderHost } from './host.ts';
import { makeImage } from './image.ts';
import type { ModuleImage, ModuleInfo } from './image.ts';
import { Loader } from './loader.ts';

const LEVELS = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug'];

/** The host's inside. */
export class FakeHost implements LoaderHost {
  /** Kernel log lines as the recordings write them: `warn: text`. */
  readonly log: string[] = [];
  readonly #waiters: { readonly what: string; readonly until: () => boolean; readonly go: () => void; readonly timed: boolean }[] = [];

  readonly printk = (level: number, text: string): Atomic => {
    this.log.push(`${LEVELS[level] ?? level}: ${text}`);
    return undefined;
  };

  readonly wait = (reason: { readonly what: string }, until: () => boolean, timeoutNs?: number): Promise<void> => {
    if (until()) return Promise.resolve();
    return new Promise((go) => {
      this.#waiters.push({ what: reason.what, until, go, timed: timeoutNs !== undefined });
    });
  };

  readonly wake = (): Atomic => {
    this.#release((w) => w.until());
    return undefined;
  };

  /** What is being waited for. */
  get waiting(): readonly string[] {
    return this.#waiters.map((w) => w.what);
  }

  /** Let every timed wait run out. */
  timeOut(): void {
    this.#release((w) => w.timed);
  }

  /** The log since the last call. */
  takeLog(): readonly string[] {
    return this.log.splice(0);
  }

  #release(which: (w: { readonly until: () => boolean; readonly timed: boolean }) => boolean): void {
    for (const waiter of this.#waiters.filter(which)) {
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      waiter.go();
    }
  }
}

/** A loader with its host. @param options kernel configuration */
export function fakeKernel(options: Partial<LoaderHost> = {}): { readonly loader: Loader; readonly host: FakeHost } {
  const host = Object.assign(new FakeHost(), options);
  return { loader: new Loader(host), host };
}

/** What a playground module may say; exports get a function that returns their name. */
export interface Toy {
  readonly license?: string;
  readonly version?: string;
  readonly imports?: readonly string[];
  readonly weakImports?: readonly string[];
  readonly importNs?: readonly string[];
  readonly exports?: readonly string[];
  readonly exportsGpl?: readonly string[];
  readonly exportsNs?: Readonly<Record<string, readonly string[]>>;
  readonly params?: object;
  readonly info?: Partial<ModuleInfo>;
  readonly init?: (k: Readonly<Record<string, unknown>>, mod: unknown) => unknown;
  readonly exit?: (() => Promise<void> | void) | null;
  readonly returned?: number;
}

/** A module image from a few words. */
export function toy(name: string, t: Toy = {}): ModuleImage {
  const names = [...(t.exports ?? []), ...(t.exportsGpl ?? []), ...Object.values(t.exportsNs ?? {}).flat()];
  const { init, exit, returned, info, ...fields } = t;
  return makeImage({
    license: 'GPL',
    ...fields,
    name,
    module_init: async (k: Readonly<Record<string, unknown>>, mod: unknown) => {
      await init?.(k, mod);
      return {
        ksymtab: Object.fromEntries(names.map((n) => [n, () => n])),
        module_exit: exit === undefined ? () => {} : exit,
        returned,
      };
    },
  }, info, `/lib/modules/6.1.0/${name}.ko`);
}

/** A promise and the hand on its latch, for inits and exits that take a while. */
export function gate(): { readonly passed: Promise<void>; readonly open: () => void } {
  let open = (): void => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}

/** Let everything that is ready run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}
