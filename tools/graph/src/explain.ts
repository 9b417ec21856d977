/** Answers as text for people. */
import { abridge } from '@vdpalab/kmod';
import type { ModuleEdge, SymbolNode } from './module-graph.ts';
import type { Cycle, GraphDiff, Impacted, Why } from './questions.ts';

function edgeText(e: ModuleEdge): string {
  if (e.kind === 'soft') return `${e.from} asks for ${e.to} (softdep)`;
  return `${e.from} needs ${e.to}: ${abridge(e.symbols)}${e.kind === 'weak' ? ' (weak)' : ''}`;
}

/** The chain, one need a line; an edge that every chain runs through is marked. */
export function whyText(from: string, to: string, answer: Why): string {
  if (answer.path === null) return `${from} does not need ${to}\n`;
  if (answer.path.length === 0) return `${from} is ${to}\n`;
  return answer.path.map((e) => `${edgeText(e)}${answer.bridges.includes(e) ? '  <- no way around' : ''}\n`).join('');
}

/** One line per module that is hit. */
export function impactText(name: string, hit: readonly Impacted[]): string {
  if (hit.length === 0) return `nothing needs ${name}\n`;
  return hit.map((h) => `${h.module} ${h.how}: ${edgeText(h.because)}${h.aliases.length === 0 ? '' : `; loaded for ${abridge(h.aliases)}`}\n`).join('');
}

/** One line per knot. */
export function cyclesText(all: readonly Cycle[]): string {
  if (all.length === 0) return 'no cycles\n';
  return all.map((c) => `${c.modules.length} modules: ${[...c.example.map((e) => e.from), c.example.at(-1)?.to].join(' -> ')}\n`).join('');
}

const hex = (crc: number): string => `0x${crc.toString(16).padStart(8, '0')}`;

/** Who exports each symbol and who uses it. */
export function symbolsText(found: readonly SymbolNode[]): string {
  return found.map((s) => {
    const traits = [`owner ${s.owner}`, s.gpl ? 'GPL only' : 'any licence', ...(s.namespace === '' ? [] : [`namespace ${s.namespace}`]), `crc ${hex(s.crc)}`];
    return `${s.name}: ${traits.join(', ')}\n  used by ${s.users.length === 0 ? 'nobody' : s.users.join(', ')}\n`;
  }).join('');
}

/** One line per owner with its exports that nobody needs. */
export function unusedText(found: readonly SymbolNode[]): string {
  if (found.length === 0) return 'every exported symbol is needed\n';
  const owners = new Map<string, string[]>();
  for (const { owner, name } of found) owners.set(owner, [...(owners.get(owner) ?? []), name]);
  return [...owners].map(([owner, names]) => `${owner}: ${names.join(' ')}\n`).join('');
}

/** One line per difference. */
export function diffText(d: GraphDiff): string {
  const lines = [
    ...d.added.map((name) => `+ ${name}`), ...d.removed.map((name) => `- ${name}`),
    ...d.newEdges.map((e) => `+ ${edgeText(e)}`), ...d.lostEdges.map((e) => `- ${edgeText(e)}`),
    ...d.changedSymbols.map((s) => `~ ${s.name}: ${hex(s.from)} -> ${hex(s.to)}`), ...d.lostAliases.map((alias) => `- alias ${alias}`),
  ];
  return lines.length === 0 ? 'no difference\n' : `${lines.join('\n')}\n`;
}
