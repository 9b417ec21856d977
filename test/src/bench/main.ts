/**
 * The benchmark of the whole: `npm run bench`, or `node test/dist/bench/main.js [--quick]`.
 *
 * Rings against C, frames over the chain against memcpy, the simulator against the chain, virtual functions, mediated
 * devices and subfunctions by number, the time to boot a lab. Prints a table and writes `out/bench.json`. Ratios are what counts: absolute
 * figures are those of a shared machine. The exit status is 1 when 1,024 virtual functions take more than 20 times as long
 * as 64, 10,000 mediated devices more than 15 times as long as 1,000, or 4,096 subfunctions more than 20 times as long as 256.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createLab } from '@vdpalab/lab';
import { MemcpyAnchor } from './anchor.ts';
import { chainNs, pairNs, simulatorNs } from './frame-rate.ts';
import { scaleMdevs, type MdevScale } from './mdev-scaling.ts';
import { scaleSfs, type SfScale } from './sf-scaling.ts';
import { scaleVfs, type VfScale } from './vf-scaling.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const OUT = join(ROOT, 'out');
const RING_BENCH = join(ROOT, 'tools/vring/dist/bench/main.js');
/** t(1024) / t(64) at most: 16 would be a straight line. */
const SCALING_MAX = 20;
/** t(10000) / t(1000) at most: 10 would be a straight line. */
const MDEV_SCALING_MAX = 15;
/** t(4096) / t(256) at most: 16 would be a straight line. */
const SF_SCALING_MAX = 20;
const LENGTHS = [64, 1500] as const;
const SIZES = [1, 64, 1024] as const;

/** Frames of one length over one path. */
interface FrameRow {
  readonly path: string;
  readonly length: number;
  readonly ns: number;
  readonly framesPerSecond: number;
  /** Nanoseconds of a memcpy of the frame in C; `null` without a compiler. */
  readonly memcpyNs: number | null;
}

const fixed = (n: number, digits = 1): string => n.toFixed(digits);

function table(title: string, head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((h, i) => Math.max(h.length, ...rows.map((row) => (row[i] ?? '').length)));
  const line = (cells: readonly string[]): string => cells.map((c, i) => (i === 0 ? c.padEnd(widths[i] ?? 0) : c.padStart(widths[i] ?? 0))).join('  ');
  console.log(`\n${title}\n${line(head)}\n${widths.map((w) => '-'.repeat(w)).join('  ')}\n${rows.map(line).join('\n')}`);
}

async function leastMs(times: number, body: () => Promise<void>): Promise<number> {
  let least = Infinity;
  for (let n = 0; n < times; n++) {
    const from = performance.now();
    await body();
    least = Math.min(least, performance.now() - from);
  }
  return least;
}

/** @returns what the ring benchmark wrote, `null` when it could not run */
function rings(rounds: number): unknown {
  console.log('Rings (tools/vring)');
  const file = join(OUT, 'bench-vring.json');
  const { status } = spawnSync(process.execPath, [RING_BENCH, `${rounds}`], { stdio: 'inherit' });
  return status === 0 && existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null;
}

async function frames(): Promise<FrameRow[]> {
  const anchor = MemcpyAnchor.build();
  const rows: FrameRow[] = [];
  for (const [path, measure] of [['socket to process', chainNs], ['process to process', pairNs], ['simulator and back', simulatorNs]] as const) {
    for (const length of LENGTHS) {
      const before = anchor?.ns(length) ?? null;
      const ns = await measure(length);
      const memcpyNs = before === null || anchor === null ? null : Math.min(before, anchor.ns(length));
      rows.push({ path, length, ns, framesPerSecond: 1e9 / ns, memcpyNs });
    }
  }
  anchor?.remove();
  table('Frames', ['path', 'bytes', 'ns/frame', 'frames/s', 'memcpy in C, ns', 'times memcpy'], rows.map((r) => [
    r.path, `${r.length}`, fixed(r.ns, 0), fixed(r.framesPerSecond, 0), r.memcpyNs === null ? '-' : fixed(r.memcpyNs), r.memcpyNs === null ? '-' : fixed(r.ns / r.memcpyNs, 0),
  ]));
  for (const length of LENGTHS) {
    const of = (path: string): number => rows.find((r) => r.path === path && r.length === length)?.ns ?? NaN;
    console.log(`${length} bytes: the simulator passes ${fixed(of('socket to process') / of('simulator and back'), 2)} frames in the time of one over IFCVF`);
  }
  return rows;
}

async function scaling(): Promise<{ rows: VfScale[]; ratio: number }> {
  await scaleVfs(8); // compiled once, for all
  const rows: VfScale[] = [];
  for (const vfs of SIZES) rows.push(await scaleVfs(vfs));
  table('Virtual functions with a vDPA device each, ms', ['number', 'create', 'add', 'del', 'remove', 'all', 'KiB each'], rows.map((r) => [
    `${r.vfs}`, fixed(r.create), fixed(r.add), fixed(r.del), fixed(r.remove), fixed(r.total), fixed(r.heap / r.vfs / 1024, 0),
  ]));
  const at = (n: number): number => rows.find((r) => r.vfs === n)?.total ?? NaN;
  const ratio = at(1024) / at(64);
  console.log(`t(1024) / t(64) = ${fixed(ratio)}, at most ${SCALING_MAX}`);
  return { rows, ratio };
}

async function mdevScaling(): Promise<{ rows: MdevScale[]; ratio: number }> {
  await scaleMdevs(100); // compiled once, for all
  const rows = [await scaleMdevs(1000), await scaleMdevs(10_000)] as const;
  table('Mediated devices with a VFIO group each, ms', ['number', 'create', 'remove', 'all', 'KiB each'], rows.map((r) => [
    `${r.mdevs}`, fixed(r.create), fixed(r.remove), fixed(r.create + r.remove), fixed(r.heap / r.mdevs / 1024, 0),
  ]));
  const [few, many] = rows.map((r) => r.create + r.remove) as [number, number];
  console.log(`t(10000) / t(1000) = ${fixed(many / few)}, at most ${MDEV_SCALING_MAX}`);
  return { rows: [...rows], ratio: many / few };
}

async function sfScaling(): Promise<{ rows: SfScale[]; ratio: number }> {
  await scaleSfs(64); // compiled once, for all
  const rows = [await scaleSfs(256), await scaleSfs(4096)] as const;
  table('Subfunctions with a vDPA device each, ms', ['number', 'add', 'activate', 'vdpa add', 'vdpa del', 'deactivate', 'del', 'all', 'KiB each'], rows.map((r) => [
    `${r.sfs}`, fixed(r.add), fixed(r.activate), fixed(r.vdpaAdd), fixed(r.vdpaDel), fixed(r.deactivate), fixed(r.del), fixed(r.total), fixed(r.heap / r.sfs / 1024, 0),
  ]));
  const ratio = rows[1].total / rows[0].total;
  console.log(`t(4096) / t(256) = ${fixed(ratio)}, at most ${SF_SCALING_MAX}`);
  return { rows: [...rows], ratio };
}

async function main(): Promise<void> {
  const quick = process.argv.includes('--quick');
  mkdirSync(OUT, { recursive: true });
  const ring = rings(quick ? 5 : 60);
  const frameRows = await frames();
  const scale = await scaling();
  const mdevs = await mdevScaling();
  const sfs = await sfScaling();
  const labMs = await leastMs(quick ? 3 : 10, async () => {
    await (await createLab()).close();
  });
  console.log(`\ncreateLab and close: ${fixed(labMs)} ms`);
  writeFileSync(join(OUT, 'bench.json'), `${JSON.stringify({ node: process.version, rings: ring, frames: frameRows, scaling: scale, mdevs, sfs, labMs }, null, 2)}\n`);
  if (!(scale.ratio <= SCALING_MAX && mdevs.ratio <= MDEV_SCALING_MAX && sfs.ratio <= SF_SCALING_MAX)) process.exitCode = 1;
}

await main();
