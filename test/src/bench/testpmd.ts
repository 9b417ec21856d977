/**
 * Frames a second that testpmd sees over a vhost-user socket: `node test/dist/bench/testpmd.js [seconds]`.
 *
 * The back-end is a vDPA device of the lab and, in turns with it, testpmd with net_vhost, on the same processor; ratios
 * count, since all share one machine. Writes `out/bench-testpmd.json`.
 */
import { spawnSync } from 'node:child_process';
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

/** The processor of back-ends; the front-end has the other one. */
const CPU = 1;
/** Frames that the partner sends before others have their turn. */
const BURST = 32;
/** Where testpmd sends to, and an address that nobody has. */
const PEER = [0x02, 0, 0, 0, 0, 0] as const;
const NOBODY = [0x02, 0, 0, 0, 0, 0x77] as const;

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

/** Tell a switch where an address is. */
function learn({ macs }: EthernetSwitch, mac: readonly number[], port: NetPort): void {
  const view = new DataView(Uint8Array.from(mac).buffer);
  macs.learn(view.getUint32(0, true), view.getUint16(4, true), port.index);
}

/**
 * A port that takes every frame and, where the front-end wants to receive, sends without end: the same frames over and over,
 * as a traffic generator does. The switch knows both addresses, as one does after a first exchange.
 */
function partner({ world }: BackEnd, mode: Mode, length: number): () => void {
  const { lab } = world;
  const { sched } = lab.hw;
  const sw0 = lab.pci.networks.get('sw0');
  if (!(sw0 instanceof EthernetSwitch)) throw new Error('sw0 is no switch');
  for (const other of sw0.ports) if (other !== world.hardware(0).port) other.unplug(); // the two have the network to themselves, as with net_vhost
  const port = sw0.attach('partner');
  const { pool } = port;
  port.receiver = (p: NetPort) => {
    for (let frame = p.next(); frame >= 0; frame = p.next()) pool.release(frame);
    return undefined;
  };
  learn(sw0, PEER, port);
  // What testpmd's io forwarding sends back is for whom it was for: nobody's address, which the switch floods.
  const to = mode === 'io' ? NOBODY : [...world.hardware(0).net.bytes];
  if (mode !== 'io') learn(sw0, to, world.hardware(0).port ?? port);
  const frames: number[] = [];
  for (let n = 0; mode !== 'txonly' && n < BURST; n++) {
    const frame = pool.take(length);
    pool.memory.u8.set([...to, ...PEER, 0x88, 0xb5], pool.offset(frame));
    frames.push(frame);
  }
  const source = {
    name: 'partner', pending: false, cause: 0,
    run: () => {
      for (const frame of frames) {
        pool.retain(frame, 1);
        port.send(frame);
      }
      return frames.length > 0 ? sched.raise(source) : undefined;
    },
  };
  sched.post('partner', () => sched.raise(source));
  return () => {
    for (const frame of frames.splice(0)) pool.release(frame);
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
  const other = new Testpmd(path, [`--forward-mode=${PARTNER[mode]}`, `--txpkts=${length}`, '-i'], ['--vdev', `net_vhost0,iface=${path}`], CPU);
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
  spawnSync('taskset', ['-a', '-c', '-p', `${CPU}`, `${process.pid}`]);
  const back = await startBackEnd({ world: { vfs: 1 } });
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
