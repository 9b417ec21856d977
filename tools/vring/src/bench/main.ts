/**
 * Ring benchmark: TypeScript rings against the same ring in C, in alternating slices of at most 2 ms, minimum of all.
 *
 * `node tools/vring/dist/bench/main.js [rounds]` prints a table and writes `out/bench-vring.json`. Ratios are what
 * counts: the C anchor runs in the same job, so a slow machine slows both.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Anchor } from './anchor.ts';
import type { Subject } from './subject.ts';
import { BATCH, SHAPES, bulkSubject, singleSubject, walkSubject } from './subject.ts';

const SLICE_NS = 1_000_000;
const OUT = fileURLToPath(new URL('../../../../out/bench-vring.json', import.meta.url));

interface Row {
  readonly subject: string;
  readonly shape: string;
  /** Nanoseconds per buffer. */
  readonly ns: number;
  /** C without an address check. */
  readonly c: number;
  /** C with one. */
  readonly cChecked: number;
}

function slice(turns: (n: number) => undefined, count: number): number {
  const from = process.hrtime.bigint();
  turns(count);
  return Number(process.hrtime.bigint() - from);
}

/** Turns that fill a slice, from a first estimate of nanoseconds per buffer. */
function turnsFor(nsPerBuffer: number): number {
  return Math.max(1, Math.floor(SLICE_NS / (nsPerBuffer * BATCH)));
}

async function measure(anchor: Anchor, subjects: readonly Subject[], rounds: number): Promise<Row[]> {
  const best = subjects.map(() => SHAPES.map(() => Infinity));
  const bestC = [SHAPES.map(() => Infinity), SHAPES.map(() => Infinity)];
  for (const subject of subjects) {
    for (const turns of subject.turns) for (let w = 0; w < 20; w++) turns(200);
  }
  for (let round = 0; round < rounds; round++) {
    for (let shape = 0; shape < SHAPES.length; shape++) {
      for (const checked of [0, 1]) {
        const known = bestC[checked]![shape]!;
        const count = turnsFor(Number.isFinite(known) ? known : 50);
        const ns = (await anchor.slice(shape, checked === 1, count)) / (count * BATCH);
        bestC[checked]![shape] = Math.min(known, ns);
      }
      for (let k = 0; k < subjects.length; k++) {
        const known = best[k]![shape]!;
        const count = turnsFor(Number.isFinite(known) ? known : 100);
        const ns = slice(subjects[k]!.turns[shape]!, count) / (count * BATCH);
        best[k]![shape] = Math.min(known, ns);
      }
    }
  }
  return subjects.flatMap((subject, k) => SHAPES.map((shape, s) => ({
    subject: subject.name, shape, ns: best[k]![s]!, c: bestC[0]![s]!, cChecked: bestC[1]![s]!,
  })));
}

function print(rows: readonly Row[]): undefined {
  console.log('ns per buffer, queue 256, 32 buffers per turn; ratio = C / TypeScript');
  for (const row of rows) {
    const ratio = (row.c / row.ns).toFixed(2);
    const checked = (row.cChecked / row.ns).toFixed(2);
    console.log(
      `${row.subject.padEnd(32)} ${row.shape.padEnd(10)} ${row.ns.toFixed(1).padStart(6)}  ` +
      `C ${row.c.toFixed(1).padStart(5)} ratio ${ratio}   C checked ${row.cChecked.toFixed(1).padStart(5)} ratio ${checked}`,
    );
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
    const rows = await measure(anchor, [bulkSubject(true), bulkSubject(false), walkSubject(), singleSubject()], rounds);
    print(rows);
    const ratios = rows.map((row) => ({ ...row, ratio: row.c / row.ns, ratioChecked: row.cChecked / row.ns }));
    writeFileSync(OUT, `${JSON.stringify({ node: process.version, rounds, rows: ratios }, null, 2)}\n`);
  } finally {
    await anchor.stop();
  }
}

await main();
