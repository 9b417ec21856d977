/**
 * What a mount costs: `node tools/fusefs/dist/bench/main.js [SECONDS]`.
 *
 * One client, written in C, does one thing over and over on an attribute of the lab, on one of the host's own sysfs, and
 * on a file in memory. Ratios count: the machine is shared, and each figure is the best of three. Prints a table and
 * writes `out/bench-fusefs.json`.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createLab } from '@vdpalab/lab';
import { mountLab } from '../mount-lab.ts';
import { bestReader } from '../reader.ts';
import type { ReaderKind } from '../reader.ts';

const run = promisify(execFile);
const SOURCE = fileURLToPath(new URL('../../src/bench/rate.c', import.meta.url));
const OUT = fileURLToPath(new URL('../../../../out/', import.meta.url));
/** As deep as devices of a bus behind a bridge are. */
const ATTRIBUTE = 'sys/devices/pci0000:00/0000:00:01.0/0000:07:00.0/vendor';
const HOSTS = '/sys/kernel/mm/transparent_hugepage/enabled';
const ROUNDS = 3;

/** One thing the client does. */
interface Row {
  readonly what: string;
  readonly reader: ReaderKind;
  /** A second. */
  readonly lab: number;
  readonly sysfs: number | null;
  readonly memory: number;
  /** Microseconds of processor time the server takes for one. */
  readonly serverUs: number;
}

const seconds = Number(process.argv[2] ?? '1');
const base = mkdtempSync(join(tmpdir(), 'vdpalab-bench-'));
const client = join(base, 'rate');
const memory = join(base, 'file');
writeFileSync(memory, '0x1af4\n');
await run('gcc', ['-O2', '-o', client, SOURCE]);

/** @returns how often a second */
async function rate(what: string, path: string): Promise<number> {
  return Number((await run(client, [what, path, `${seconds}`])).stdout);
}

async function best(measure: () => Promise<number>): Promise<number> {
  let most = 0;
  for (let round = 0; round < ROUNDS; round++) most = Math.max(most, await measure());
  return most;
}

async function measure(reader: ReaderKind): Promise<Row[]> {
  const lab = await createLab({
    clock: 'paced', config: { pci: { root_ports: [{ at: '00:01.0', bus: 7 }], functions: [{ at: '07:00.0', model: 'n3000', sriov: { total: 2 } }] } },
  });
  const dir = join(base, reader);
  mkdirSync(dir);
  const mounted = await mountLab(lab, dir, { reader });
  const rows: Row[] = [];
  try {
    for (const what of ['pread', 'ioctl', 'stat', 'open, read, close']) {
      let serverUs = Infinity;
      const atLab = await best(async () => {
        const before = process.cpuUsage();
        const perSecond = await rate(what, join(dir, ATTRIBUTE));
        const { user, system } = process.cpuUsage(before);
        serverUs = Math.min(serverUs, (user + system) / (perSecond * seconds));
        return perSecond;
      });
      const sysfs = await best(() => rate(what, HOSTS)).catch(() => null); // the host may be without
      rows.push({ what, reader, lab: atLab, sysfs, memory: await best(() => rate(what, memory)), serverUs });
    }
  } finally {
    await mounted.unmount();
    const left = await lab.close();
    if (left.length > 0) console.log(left.join('\n'));
  }
  return rows;
}

/** How often two processes wake each other by a pipe: every request does, and no mount can be faster. */
const wakes = await best(() => rate('wake', memory));
const rows: Row[] = [];
for (const reader of new Set<ReaderKind>([bestReader(), 'waiting'])) rows.push(...await measure(reader));
console.log(`two processes wake each other ${wakes.toFixed(0)} times a second`);
console.log('what                reader       lab/s   server us   sysfs/s   times   memory/s');
for (const row of rows) {
  console.log([
    row.what.padEnd(18), row.reader.padEnd(9), row.lab.toFixed(0).padStart(8), row.serverUs.toFixed(1).padStart(11), (row.sysfs?.toFixed(0) ?? '-').padStart(9),
    (row.sysfs === null ? '-' : (row.sysfs / row.lab).toFixed(0)).padStart(7), row.memory.toFixed(0).padStart(10),
  ].join(' '));
}
mkdirSync(OUT, { recursive: true });
writeFileSync(join(OUT, 'bench-fusefs.json'), `${JSON.stringify({ seconds, wakes, rows }, null, 2)}\n`);
rmSync(base, { recursive: true });
