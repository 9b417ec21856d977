/**
 * Ring benchmark: TypeScript rings against the same ring in C, in alternating slices of at most 2 ms, minimum of all.
 *
 * `node tools/vring/dist/bench/main.js [rounds]` prints a table and writes `out/bench-vring.json`. Ratios are what
 * counts: the C anchor runs in the same job, so a slow machine slows both.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Anchor } from './anchor.ts';
import type { Subject, Turns } from './subject.ts';
import { BATCH, KINDS, bulkSubject, frameSubject, packedSubject, singleSubject, walkSubject } from './subject.ts';

const SLICE_NS = 1_000_000;
/** Whether a kind moves frames, of which C always checks the addresses. */
const movesFrames = (kind: number): boolean => kind === 3 || kind === 4;
const OUT = fileURLToPath(new URL('../../../../out/bench-vring.json', import.meta.url));

interface Row {
  readonly subject: string;
  readonly kind: string;
  /** Nanoseconds per buffer. */
  readonly ns: number;
  /** C that trusts addresses; `null` for frames, which are always checked. */
  readonly c: number | null;
  /** C that checks each address, as the TypeScript rings do. */
  readonly cChecked: number;
}

function slice(turns: Turns, count: number): number {
  const from = process.hrtime.bigint();
  turns(count);
  return Number(process.hrtime.bigint() - from);
}

/** Turns that fill a slice, from what is known of nanoseconds per buffer. */
function turnsFor(nsPerBuffer: number): number {
  return Math.max(1, Math.floor(SLICE_NS / ((Number.isFinite(nsPerBuffer) ? nsPerBuffer : 100) * BATCH)));
}

async function measure(anchor: Anchor, subjects: readonly Subject[], rounds: number): Promise<Row[]> {
  const best = subjects.map(() => KINDS.map(() => Infinity));
  const bestC = [KINDS.map(() => Infinity), KINDS.map(() => Infinity)];
  for (const { turns } of subjects) {
    for (let w = 0; w < 20; w++) for (const some of turns) some?.(200);
  }
  for (let round = 0; round < rounds; round++) {
    for (let kind = 0; kind < KINDS.length; kind++) {
      for (const checked of [0, 1]) {
        const count = turnsFor(bestC[checked][kind]);
        const ns = (await anchor.slice(kind, checked === 1, count)) / (count * BATCH);
        bestC[checked][kind] = Math.min(bestC[checked][kind], ns);
      }
      for (const [k, { turns }] of subjects.entries()) {
        const some = turns[kind];
        if (some === undefined) continue;
        const count = turnsFor(best[k][kind]);
        best[k][kind] = Math.min(best[k][kind], slice(some, count) / (count * BATCH));
      }
    }
  }
  return subjects.flatMap(({ name, turns }, k) => turns.flatMap((some, kind) => (some === undefined ? [] : [{
    subject: name, kind: KINDS[kind], ns: best[k][kind],
    c: movesFrames(kind) ? null : bestC[0][kind],
    cChecked: movesFrames(kind) ? Math.min(bestC[0][kind], bestC[1][kind]) : bestC[1][kind],
  }])));
}

function print(rows: readonly Row[]): undefined {
  const number = (value: number, width: number, digits: number) => value.toFixed(digits).padStart(width);
  console.log('ns per buffer, queue 256, 32 buffers per turn; ratio = C / TypeScript');
  console.log(`${' '.repeat(44)}      ns | C, checked  ratio | C, trusting  ratio`);
  for (const { subject, kind, ns, c, cChecked } of rows) {
    const trusting = c === null ? '' : `${number(c, 13, 1)} ${number(c / ns, 6, 2)}`;
    console.log(`${subject.padEnd(29)} ${kind.padEnd(14)} ${number(ns, 7, 1)} |${number(cChecked, 11, 1)} ${number(cChecked / ns, 6, 2)} |${trusting}`);
  }
}

async function main(): Promise<undefined> {
  const rounds = Number(process.argv[2] ?? 60);
  const anchor = Anchor.start();
  mkdirSync(new URL('.', new URL(`file://${OUT}`)), { recursive: true });
  if (typeof anchor === 'string') {
    console.log(`skipped: ${anchor}`);
    writeFileSync(OUT, `${JSON.stringify({ skipped: anchor }, null, 2)}\n`);
    return;
  }
  try {
    const rows = await measure(anchor, [bulkSubject('bulk', false), bulkSubject('bulk, addresses as they are', true), walkSubject(), singleSubject(), frameSubject(), packedSubject('packed, bulk', false), packedSubject('packed, addresses as they are', true)], rounds);
    print(rows);
    const ratios = rows.map((row) => ({ ...row, ratio: row.cChecked / row.ns, ratioTrusting: row.c === null ? null : row.c / row.ns }));
    writeFileSync(OUT, `${JSON.stringify({ node: process.version, rounds, rows: ratios }, null, 2)}\n`);
  } finally {
    await anchor.stop();
  }
}

await main();
