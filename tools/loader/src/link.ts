/** Linking: each needed symbol is found, compared and referenced. Mirrors `simplify_symbols` and `resolve_symbol` in `kernel/module/main.c` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import type { ErrnoName } from '@vdpalab/abi';
import type { LoaderHost } from './host.ts';
import type { LoadedModule } from './loaded.ts';
import type { KernelSymbol, SymbolTable } from './symtab.ts';
import type { KernelTaint } from './kernel-taint.ts';
import { TAINT } from './taint.ts';

/** How long a module waits for a provider whose init is still running: 30 s. */
const INIT_WAIT_NS = 30_000_000_000;

/** Errno numbers that a failed symbol is logged with. */
const NUMBER = { ENOENT: 2, EBUSY: 16, EINVAL: 22 } as const;
type LinkErrno = keyof typeof NUMBER;

/** What linking needs to know. */
export interface LinkContext {
  readonly host: LoaderHost;
  readonly symbols: SymbolTable;
  readonly taint: KernelTaint;
  /** CRCs the image was built against; `null` without a table or when forced; `unchecked` inside the kernel image. */
  readonly crcs: Readonly<Record<string, number>> | null | 'unchecked';
}

/**
 * Resolve everything a module needs; every failing symbol is logged, and the last one's errno is the module's.
 *
 * @returns the symbols by name, weak ones that are missing as `undefined`
 * @throws ENOENT when a symbol is unknown, or GPL-only to a module that may not use it
 * @throws EINVAL when a CRC differs or a namespace is not imported
 * @throws EBUSY when a provider's init does not end in 30 s
 */
export async function linkSymbols(mod: LoadedModule, ctx: LinkContext): Promise<Readonly<Record<string, unknown>>> {
  const { definition, info } = mod.image;
  const weak = new Set(definition.weakImports);
  const wanted = new Set([...definition.imports, ...definition.weakImports]);
  const order = [...new Set([...(info.symbolOrder ?? []).filter((name) => wanted.has(name)), ...wanted])];
  const linked: Record<string, unknown> = {};
  const failed: { readonly name: string; readonly errno: LinkErrno }[] = [];
  for (const name of order) {
    const found = await resolveWait(mod, name, ctx);
    if (typeof found === 'object') linked[name] = found.value;
    else if (found === 'ENOENT' && weak.has(name)) linked[name] = undefined;
    else {
      ctx.host.printk(4, `${mod.name}: Unknown symbol ${name} (err -${NUMBER[found]})`);
      failed.push({ name, errno: found });
    }
  }
  const last = failed.at(-1);
  if (last !== undefined) {
    const list = failed.map((f) => `${f.name} (${f.errno})`).join(', ');
    throw new KernelError(last.errno, 'module.load.symbols', `${mod.name}: ${failed.length} of ${order.length} symbols cannot be linked: ${list}`);
  }
  return linked;
}

/** Resolve, and wait for an owner that is still coming. */
async function resolveWait(mod: LoadedModule, name: string, ctx: LinkContext): Promise<KernelSymbol | LinkErrno> {
  const first = resolve(mod, name, ctx);
  if (first !== 'EBUSY') return first;
  const owner = ctx.symbols.find(name, true)?.owner;
  const settled = (): boolean => ctx.symbols.find(name, true)?.owner?.state !== 'coming';
  try {
    await ctx.host.wait({ what: `init of module ${owner?.name ?? '?'}, for symbol ${name}` }, settled, INIT_WAIT_NS);
  } catch (error) {
    if (!isKernelError(error) || error.errno !== 'ERESTARTSYS') throw error; // a signal ends the wait as the timeout does
  }
  if (!settled()) ctx.host.printk(4, `${mod.name}: gave up waiting for init of module ${owner?.name ?? '?'}.`);
  return resolve(mod, name, ctx);
}

/** One try at one symbol; on success the owner has a use edge from `mod`. */
function resolve(mod: LoadedModule, name: string, ctx: LinkContext): KernelSymbol | LinkErrno {
  const symbol = ctx.symbols.find(name, !mod.proprietary);
  if (symbol === undefined) return 'ENOENT';
  if (symbol.gplOnly) mod.usesGplOnly = true;
  if (!inheritTaint(mod, symbol, ctx)) return 'ENOENT';
  if (!sameVersion(mod, symbol, ctx)) return 'EINVAL';
  if (!namespaceImported(mod, symbol, ctx)) return 'EINVAL';
  const owner = symbol.owner;
  if (owner === null || owner.builtin || owner.users.includes(mod)) return symbol;
  if (owner.state === 'coming') return 'EBUSY';
  if (!owner.tryGet()) return 'ENOENT';
  owner.addUser(mod);
  return symbol;
}

/** A user of a proprietary module's symbols is proprietary from then on, unless it has used GPL-only ones. */
function inheritTaint(mod: LoadedModule, symbol: KernelSymbol, ctx: LinkContext): boolean {
  const owner = symbol.owner;
  if (owner === null || !owner.proprietary) return true;
  if (mod.usesGplOnly) {
    ctx.host.printk(3, `${mod.name}: module using GPL-only symbols uses symbols ${symbol.name} from proprietary module ${owner.name}.`);
    return false;
  }
  if (!mod.proprietary) {
    ctx.host.printk(4, `${mod.name}: module uses symbols ${symbol.name} from proprietary module ${owner.name}, inheriting taint.`);
    mod.taints |= 1 << TAINT.PROPRIETARY_MODULE;
  }
  return true;
}

/** `check_version` in `kernel/module/version.c`. */
function sameVersion(mod: LoadedModule, symbol: KernelSymbol, ctx: LinkContext): boolean {
  if (symbol.crc === undefined || ctx.crcs === 'unchecked') return true;
  if (ctx.crcs === null) return ctx.taint.forceLoad(mod, symbol.name);
  const crc = ctx.crcs[symbol.name];
  if (crc === symbol.crc) return true;
  if (crc === undefined) {
    ctx.taint.once('no symbol version', 4, `${mod.name}: no symbol version for ${symbol.name}`);
    return true;
  }
  ctx.host.printk(4, `${mod.name}: disagrees about version of symbol ${symbol.name}`);
  return false;
}

function namespaceImported(mod: LoadedModule, symbol: KernelSymbol, ctx: LinkContext): boolean {
  if (symbol.namespace === '' || mod.image.definition.importNs.includes(symbol.namespace)) return true;
  const lenient = ctx.host.allowMissingNamespaceImports === true;
  ctx.host.printk(lenient ? 4 : 3,
    `${mod.name}: module uses symbol (${symbol.name}) from namespace ${symbol.namespace}, but does not import it.`);
  return lenient;
}

/**
 * Refuse a module that exports what somebody exports already.
 *
 * @throws ENOEXEC
 */
export function verifyExports(mod: LoadedModule, names: readonly string[], ctx: { readonly host: LoaderHost; readonly symbols: SymbolTable }): void {
  const errno: ErrnoName = 'ENOEXEC';
  for (const name of names) {
    const taken = ctx.symbols.find(name, true);
    if (taken === undefined) continue;
    const owner = taken.owner === null || taken.owner.builtin ? 'kernel' : taken.owner.name;
    ctx.host.printk(3, `${mod.name}: exports duplicate symbol ${name} (owned by ${owner})`);
    throw new KernelError(errno, 'module.load.duplicate-export', `${mod.name}: ${name} is exported by ${taken.owner?.name ?? 'vmlinux'} already`);
  }
}
