/**
 * Frames a second that testpmd sees over a vhost-user socket: `node test/dist/bench/testpmd.js [seconds]`.
 *
 * The back-end is a vDPA device of the lab and, in turns with it, testpmd with net_vhost; ratios count, since all share
 * one machine. Writes `out/bench-testpmd.json`.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EthernetSwitch, type NetPort } from '@vdpalab/machine';
import { startBackEnd, type BackEnd } from '../support/vhost-user.ts';
import { Testpmd, testpmdPresent } from '../support/testpmd.ts';

const OUT = fileURLToPath(new URL('../../../out/', import.meta.url));
const MODES = ['txonly', 'rxonly', 'io'] as const;
const LENGTHS = [64, 1500] as const;
const ROUNDS = 3;
/** What the other end does; flowgen also takes what comes back. */
const PARTNER = { txonly: 'rxonly', rxonly: 'txonly', io: 'flowgen' } as const;

type Mode = (typeof MODES)[number];

const sleep = (seconds: number): Promise<void> => new Promise((resolve) => {
  setTimeout(resolve, seconds * 1000);
});

/** Frames a second that pass a front-end at `path`: those it sends, or for rxonly receives. */
async function rate(path: string, mode: Mode, length: number, seconds: number): Promise<number> {
  const pmd = new Testpmd(path, [`--forward-mode=${mode}`, `--txpkts=${length}`, '-i']);
  pmd.type('start\n');
  await pmd.forwarding();
  await sleep(0.5);
  const counted = async (): Promise<{ frames: number; at: number }> => {
    pmd.type('show port stats 0\n');
    await pmd.says(/TX-packets: \d+ [^#]*#/);
    return { frames: pmd.count(mode === 'rxonly' ? 'RX-packets' : 'TX-packets'), at: performance.now() };
  };
  const from = await counted();
  await sleep(seconds);
  const to = await counted();
  await pmd.quit();
  return ((to.frames - from.frames) * 1000) / (to.at - from.at);
}

/** A port that takes every frame and, where the front-end wants to receive, sends without end. */
function partner({ world }: BackEnd, mode: Mode, length: number): () => void {
  const { lab } = world;
  const sw0 = lab.pci.networks.get('sw0');
  if (!(sw0 instanceof EthernetSwitch)) throw new Error('sw0 is no switch');
  const port = sw0.attach('partner');
  port.receiver = (p: NetPort) => {
    for (let frame = p.next(); frame >= 0; frame = p.next()) p.pool.release(frame);
    return undefined;
  };
  const bytes = new Uint8Array(length);
  bytes.set([0x02, 0, 0, 0, 0, 0x77, 0x02, 0, 0, 0, 0, 0x66, 0x88, 0xb5]);
  let on = mode !== 'txonly';
  const source = {
    name: 'partner', pending: false, cause: 0,
    run: () => {
      for (let n = 0; on && n < 32; n++) {
        const frame = port.pool.take(length);
        if (frame < 0) break;
        port.pool.memory.u8.set(bytes, port.pool.offset(frame));
        port.send(frame);
      }
      return on ? lab.hw.sched.raise(source) : undefined;
    },
  };
  lab.hw.sched.post('partner', () => (on ? lab.hw.sched.raise(source) : undefined));
  return () => {
    on = false;
    port.unplug();
  };
}

async function ours(back: BackEnd, mode: Mode, length: number, seconds: number): Promise<number> {
  const stop = partner(back, mode, length);
  try {
    return await rate(back.path, mode, length, seconds);
  } finally {
    stop();
  }
}

async function netVhost(mode: Mode, length: number, seconds: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'net-vhost-'));
  const path = join(folder, 's');
  const other = new Testpmd(path, [`--forward-mode=${PARTNER[mode]}`, `--txpkts=${length}`, '-i'], ['--vdev', `net_vhost0,iface=${path}`], 1);
  other.type('start\n');
  await other.forwarding();
  try {
    return await rate(path, mode, length, seconds);
  } finally {
    await other.quit();
    rmSync(folder, { recursive: true });
  }
}

async function main(): Promise<void> {
  if (!testpmdPresent) throw new Error('dpdk-testpmd is not installed');
  const seconds = Number(process.argv[2] ?? 2);
  const back = await startBackEnd();
  back.outside.port.unplug();
  const rows: { mode: Mode; length: number; ours: number; netVhost: number; ratio: number }[] = [];
  for (const mode of MODES) {
    for (const length of LENGTHS) {
      let [mine, theirs] = [0, 0];
      for (let round = 0; round < ROUNDS; round++) {
        mine = Math.max(mine, await ours(back, mode, length, seconds));
        theirs = Math.max(theirs, await netVhost(mode, length, seconds));
      }
      rows.push({ mode, length, ours: mine, netVhost: theirs, ratio: mine / theirs });
      console.log(`${mode.padEnd(7)} ${`${length}`.padStart(5)} bytes: ${(mine / 1e6).toFixed(3)} M frames/s, net_vhost ${(theirs / 1e6).toFixed(3)}, ratio ${(mine / theirs).toFixed(2)}`);
    }
  }
  mkdirSync(OUT, { recursive: true });
  writeFileSync(join(OUT, 'bench-testpmd.json'), `${JSON.stringify(rows, null, 2)}\n`);
  const left = await back.close();
  if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`);
}

await main();
