/** Answers as text for people. */
import { abridge } from '@vdpalab/kmod';
import type { ModuleEdge, SymbolNode } from './module-graph.ts';
import type { Cycle, Impacted, Why } from './questions.ts';

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

/** Who exports a symbol and who uses it. */
export function symbolText(s: SymbolNode): string {
  const traits = [`owner ${s.owner}`, s.gpl ? 'GPL only' : 'any licence', ...(s.namespace === '' ? [] : [`namespace ${s.namespace}`]), `crc 0x${s.crc.toString(16).padStart(8, '0')}`];
  return `${s.name}: ${traits.join(', ')}\n  used by ${s.users.length === 0 ? 'nobody' : s.users.join(', ')}\n`;
}
