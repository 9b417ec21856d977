/** docs/reference/symbols.md: who exports each symbol, who imports it, and what it looks like. */
import { moduleGraph, type SymbolNode } from '@vdpalab/graph';
import { signatures, type Signature } from '@vdpalab/kbuild/signatures';
import { treeOf } from '@vdpalab/kmod';
import { builtModules } from '@vdpalab/lab';
import { code, table, type Page } from './page.ts';

const intro = `# Symbols

Every symbol a kernel module exports: \`EXPORT_SYMBOL_GPL\` unless marked "any licence", with the modules that import it and
its type as the header spells it. Written by \`npm run docs\`; \`vdpalab graph symbols PATTERN\` asks the same of the tree a
lab file selects. A symbol nobody imports is there for modules of your own, or for tools.

What the kernel image itself offers (\`machine\`, \`_printk\`, the loader's own symbols) is in
[tools/abi](../../tools/abi/README.md).
`;

/** Rows of one module. */
function rows(symbols: readonly SymbolNode[], known: ReadonlyMap<string, Signature>): string[][] {
  return symbols.map((s) => {
    const { type = '', summary = '' } = known.get(s.name) ?? {};
    const traits = [...(s.gpl ? [] : ['any licence']), ...(s.namespace === '' ? [] : [`namespace ${s.namespace}`])];
    return [`${code(s.name)}${traits.length === 0 ? '' : ` (${traits.join(', ')})`}`, code(type), summary, s.users.join(', ')];
  });
}

/** The page. @param root folder of the workspace */
export function symbolsPages(root: string): Page[] {
  const infos = builtModules().map((m) => m.info).sort((a, b) => (a.name < b.name ? -1 : 1));
  const { symbols } = moduleGraph(treeOf(infos), { builtin: true });
  const known = signatures(root);
  const sections = infos.flatMap((info) => {
    const own = [...symbols.values()].filter((s) => s.owner === info.name).sort((a, b) => (a.name < b.name ? -1 : 1));
    if (own.length === 0) return [];
    return `\n## ${info.name}\n\n${table(['symbol', 'type', 'does', 'imported by'], rows(own.map((s) => ({ ...s, users: [...s.users].sort() })), known))}`;
  });
  return [{ path: 'docs/reference/symbols.md', part: null, text: `${intro}${sections.join('')}` }];
}
