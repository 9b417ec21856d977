/**
 * Frames between rings in a real process's memory and devices of a lab: `node test/dist/bench/outside.js [--quick]`.
 *
 * A C program sends through one device and takes from another, in one thread, looking at every byte. Prints the least time of a
 * frame over some rounds; ratios of rows of one run are what counts.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ifcvf, simulator } from '../real/devices.ts';
import { unreal } from '../real/mounted-lab.ts';

const OUT = fileURLToPath(new URL('../../../out/', import.meta.url));
const FRAMES = 5000;
const WAYS = [['mirrored', []], ['mirrored, event index', ['-e']], ['mapped', ['-m']], ['mapped, event index', ['-m', '-e']]] as const;

interface Row {
  readonly device: string;
  readonly memory: string;
  /** Bytes. */
  readonly length: number;
  /** Nanoseconds. */
  readonly ns: number;
}

/** The least time of a frame. @param rounds of {@link FRAMES} frames */
function measure(program: string, argv: readonly string[], rounds: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['-f', ...argv], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (text.split('\n').length > rounds) child.kill('SIGKILL');
    });
    child.on('exit', (code) => {
      const times = [...text.matchAll(/ (\d+) ns each/g)].map(([, ns]) => Number(ns));
      if (code === null && times.length > 0) resolve(Math.min(...times));
      else reject(new Error(`${program} ${argv.join(' ')}: exit status ${code}`));
    });
  });
}

async function main(): Promise<void> {
  if (unreal !== null) {
    console.log(unreal);
    return;
  }
  const rounds = process.argv.includes('--quick') ? 4 : 30;
  const rows: Row[] = [];
  for (const [device, make] of [['IFCVF to IFCVF', ifcvf], ['simulator and back', simulator]] as const) {
    const { program, files, end } = await make();
    const binary = program('vhost-net.c');
    for (const [memory, flags] of WAYS) {
      for (const length of [64, 1500]) {
        const ns = await measure(binary, [...flags, ...files, `${FRAMES}`, `${length}`], rounds);
        rows.push({ device, memory, length, ns });
        console.log(`${device.padEnd(20)}${memory.padEnd(24)}${`${length}`.padStart(5)} bytes${`${ns}`.padStart(8)} ns  ${Math.round(1e9 / ns)} frames/s`);
      }
    }
    const left = await end();
    if (left.length > 0) throw new Error(left.join('\n'));
  }
  mkdirSync(OUT, { recursive: true });
  writeFileSync(join(OUT, 'bench-outside.json'), `${JSON.stringify(rows, null, 2)}\n`);
}

await main();
