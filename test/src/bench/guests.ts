/**
 * Guests in QEMU on each way into a lab, beside QEMU's own network: `node test/dist/bench/guests.js [--quick]`.
 *
 * Prints, for each, the time from QEMU's start to its shell and to the first answer, the round trip of a ping, and the rates of
 * files by TFTP (one block in flight) and HTTP (a window of segments). The processor is emulated: compare the rows of one run.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startBackEnd } from '../support/vhost-user.ts';
import { LabDoor } from '../real/guest/door.ts';
import { Guest } from '../real/guest/guest.ts';
import { startHttpPeer } from '../real/guest/http-peer.ts';
import { GuestImage, missing } from '../real/guest/image.ts';
import { vhostUserCard } from '../real/guest/vhost-user-card.ts';
import { GUEST_IP, httpBothWays, linkUp, ping, tftpBothWays, type Peer } from '../real/guest/traffic.ts';

const OUT = fileURLToPath(new URL('../../../out/', import.meta.url));

/** A network card of a guest, and who is behind it. */
interface Way {
  readonly args: readonly string[];
  readonly peer: Peer;
  /** The guest's address. */
  readonly ip: string;
  readonly shared?: boolean;
  /** Whether the peer takes files by TFTP. */
  readonly tftp: boolean;
  /** @returns what was left behind */
  readonly close: () => Promise<readonly string[]>;
}

interface Row {
  readonly way: string;
  /** Milliseconds from QEMU's start. */
  readonly shellMs: number;
  readonly answerMs: number;
  /** Milliseconds. */
  readonly pingLeast: number;
  readonly pingMean: number;
  /** Bytes per second; `null` when not measured. */
  readonly tftpUp: number | null;
  readonly tftpDown: number | null;
  readonly httpUp: number;
  readonly httpDown: number;
}

async function door(netdev: string, shared: boolean): Promise<Way> {
  const lab = await LabDoor.open({ parent: 'ifcvf', shadowable: netdev === 'x-svq=on' });
  return { args: lab.args(netdev), peer: lab.peer, ip: GUEST_IP, shared, tftp: true, close: () => lab.close() };
}

const WAYS: Readonly<Record<string, () => Promise<Way>>> = {
  'QEMU\'s own network': async () => {
    const { peer, close } = await startHttpPeer();
    return {
      args: ['-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0,romfile='], peer, ip: '10.0.2.15', tftp: false,
      close: async () => {
        await close();
        return [];
      },
    };
  },
  'vhost-vdpa, memory of another process': () => door('', false),
  'vhost-vdpa, memory shared': () => door('', true),
  'vhost-vdpa, shadow rings': () => door('x-svq=on', false),
  'vhost-user': async () => {
    const { path, close } = await startBackEnd({ world: { responders: [{}] } });
    return { args: vhostUserCard(path), peer: { ip: '10.0.0.1' }, ip: GUEST_IP, shared: true, tftp: true, close };
  },
};

async function measure(image: GuestImage, way: string, open: () => Promise<Way>, quick: boolean): Promise<Row> {
  const { args, peer, ip, shared = false, tftp, close } = await open();
  const from = performance.now();
  const guest = await Guest.start(image, { args, shared });
  try {
    await linkUp(guest, ip);
    const first = await ping(guest, peer, 1);
    const answerMs = performance.now() - from;
    if (first.received !== 1) throw new Error(`${way}: no answer`);
    const trips = await ping(guest, peer, quick ? 20 : 200);
    const files = tftp ? await tftpBothWays(guest, peer, (quick ? 1 : 2) << 20) : null;
    const web = await httpBothWays(guest, peer, (quick ? 2 : 16) << 20);
    return {
      way, shellMs: guest.bootMs, answerMs, pingLeast: trips.least, pingMean: trips.mean,
      tftpUp: files?.up ?? null, tftpDown: files?.down ?? null, httpUp: web.up, httpDown: web.down,
    };
  } finally {
    await guest.poweroff();
    const left = await close();
    if (left.length > 0) console.log(`${way}: left behind: ${left.join(', ')}`);
  }
}

const mib = (rate: number | null): string => (rate === null ? '-' : (rate / 2 ** 20).toFixed(2));

async function main(): Promise<void> {
  const absent = missing();
  if (absent !== null) throw new Error(`missing: ${absent}`);
  const quick = process.argv.includes('--quick');
  const image = new GuestImage();
  const rows: Row[] = [];
  const width = Math.max(...Object.keys(WAYS).map((way) => way.length));
  const line = (way: string, cells: readonly string[]): void => console.log(`${way.padEnd(width)}  ${cells.map((cell) => cell.padStart(10)).join('')}`);
  line('', ['shell', 'answer', 'ping min', 'mean', 'TFTP up', 'down', 'HTTP up', 'down']);
  line('', ['s', 's', 'ms', 'ms', 'MiB/s', 'MiB/s', 'MiB/s', 'MiB/s']);
  try {
    for (const [way, open] of Object.entries(WAYS)) {
      const row = await measure(image, way, open, quick);
      rows.push(row);
      line(way, [
        (row.shellMs / 1000).toFixed(1), (row.answerMs / 1000).toFixed(1), row.pingLeast.toFixed(2), row.pingMean.toFixed(2),
        mib(row.tftpUp), mib(row.tftpDown), mib(row.httpUp), mib(row.httpDown),
      ]);
    }
  } finally {
    image.close();
  }
  mkdirSync(OUT, { recursive: true });
  writeFileSync(join(OUT, 'bench-guests.json'), `${JSON.stringify(rows, null, 2)}\n`);
}

await main();
