/** The table of known differences: where a replay differs, and why. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parts, type Part, type Replayed, type Score } from './replay.ts';

/** Reason of a difference that nobody has explained yet: a table with one in it fails the test. */
const UNEXPLAINED = 'unexplained';

/** A command that differs. */
export interface Difference {
  /** Of the command in the recording, 1-based. */
  readonly line: number;
  readonly parts: readonly Part[];
  /** A key of {@link Table.reasons}, or what the lab lacks: `program NAME`, `module NAME`. */
  readonly reason: string;
}

/** All that differs. */
export interface Table {
  /** Sentences, by key. */
  readonly reasons: Readonly<Record<string, string>>;
  readonly recordings: Readonly<Record<string, { readonly commands: number; readonly differences: readonly Difference[] }>>;
}

export const tableFile = fileURLToPath(new URL('../../data/reference/differences.json', import.meta.url));
/** Of the host's bash in the lab: recordings and scenarios. */
export const realTableFile = fileURLToPath(new URL('../../data/reference/differences-real.json', import.meta.url));

export function readTable(file = tableFile): Table {
  return JSON.parse(readFileSync(file, 'utf8')) as Table; // written by writeTable, reasons by hand
}

/** Give differences that have no reason yet the one they have in another table. */
export function inherit(table: Table, from: Table): Table {
  const recordings = Object.fromEntries(Object.entries(table.recordings).map(([name, { commands, differences }]) => {
    const known = new Map(from.recordings[name]?.differences.map((d) => [d.line, d]));
    return [name, { commands, differences: differences.map((d) => {
      const other = known.get(d.line);
      return d.reason === UNEXPLAINED && other !== undefined && d.parts.every((part) => other.parts.includes(part)) ? { ...d, reason: other.reason } : d;
    }) }];
  }));
  const used = new Set(Object.values(recordings).flatMap(({ differences }) => differences.map((d) => d.reason)));
  return { recordings, reasons: { ...Object.fromEntries(Object.entries(from.reasons).filter(([key]) => used.has(key))), ...table.reasons } };
}

/** What a command lacks, as a reason; `null` when it lacks nothing. */
function lackOf({ needs }: Replayed): string | null {
  const [program] = needs.programs;
  if (program !== undefined) return `program ${program}`;
  const [module] = needs.modules;
  return module === undefined ? null : `module ${module}`;
}

/** A table with a recording's differences as they are now; reasons given before are kept. */
export function updated(table: Table, score: Score): Table {
  const old = new Map(table.recordings[score.name]?.differences.map((d) => [d.line, d.reason]));
  const differences = score.commands.filter((c) => c.differs.length > 0).map((c): Difference => {
    const { line } = c.verdict.wanted;
    const reason = old.get(line) ?? UNEXPLAINED;
    const named = reason in table.reasons;
    return { line, parts: c.differs, reason: named ? reason : lackOf(c) ?? UNEXPLAINED };
  });
  return { ...table, recordings: { ...table.recordings, [score.name]: { commands: score.commands.length, differences } } };
}

/** Differences the table does not know: what was equal and no longer is. */
export function regressions(table: Table, { name, commands }: Score): string[] {
  const known = new Map(table.recordings[name]?.differences.map((d) => [d.line, d.parts]));
  return commands.flatMap(({ verdict: { wanted }, differs }) =>
    differs.filter((part) => known.get(wanted.line)?.includes(part) !== true).map((part) => `${name}:${wanted.line}: ${part} of $ ${wanted.command}`));
}

/** Differences without a reason. */
export function unexplained(table: Table): string[] {
  return Object.entries(table.recordings).flatMap(([name, { differences }]) =>
    differences.filter((d) => !(d.reason in table.reasons) && !/^(program|module) \S+$/.test(d.reason)).map((d) => `${name}:${d.line}: ${d.reason}`));
}

/** One line a difference, so that two tables can be compared by eye. */
export function tableText(table: Table): string {
  const lines = (entries: readonly string[], indent: string): string => entries.map((entry) => `\n${indent}${entry}`).join(',');
  const reasons = Object.entries(table.reasons).map(([key, text]) => `${JSON.stringify(key)}: ${JSON.stringify(text)}`);
  const files = Object.entries(table.recordings).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, { commands, differences }]) =>
    `${JSON.stringify(name)}: {"commands": ${commands}, "differences": [${lines(differences.map((d) => JSON.stringify(d)), '      ')}${differences.length > 0 ? '\n    ' : ''}]}`);
  return `{\n  "reasons": {${lines(reasons, '    ')}\n  },\n  "recordings": {${lines(files, '    ')}\n  }\n}\n`;
}

export function writeTable(table: Table, file = tableFile): void {
  writeFileSync(file, tableText(table));
}

/** Commands whose parts are equal, of a score or of what a table says of it. */
export function equalCounts(commands: number, differences: readonly { readonly parts: readonly Part[] }[]): Record<Part, number> {
  const count = (part: Part): number => commands - differences.filter((d) => d.parts.includes(part)).length;
  return { out: count(parts[0]), dmesg: count(parts[1]), uevents: count(parts[2]) };
}
