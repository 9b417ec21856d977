/** Traffic from a guest to a host that answers, with busybox's programs, and what it says about the way between them. */
import { GuestError, type Guest } from './guest.ts';

/** A host that a guest talks to: a responder, or QEMU's own network. */
export interface Peer {
  readonly ip: string;
  /** Port of its HTTP server; 80 when absent. */
  readonly port?: number;
}

/** What ping says. */
export interface PingFigures {
  readonly sent: number;
  readonly received: number;
  /** Milliseconds; `NaN` when nothing came back. */
  readonly least: number;
  readonly mean: number;
  readonly most: number;
}

/** A file that went to the peer and came back unchanged. */
export interface TransferFigures {
  readonly bytes: number;
  /** As sha256sum says it, of what was sent; what came back has the same. */
  readonly sha256: string;
  /** Bytes per second to the peer and back. */
  readonly up: number;
  readonly down: number;
}

/** The guest's address in the responder's network. */
export const GUEST_IP = '10.0.0.9';

/** Give the interface its address and switch it on. */
export async function linkUp(guest: Guest, ip = GUEST_IP, link = 'eth0'): Promise<void> {
  await guest.ok(`ip addr flush dev ${link}; ip addr add ${ip}/24 dev ${link} && ip link set ${link} up`);
}

/**
 * Ping a host.
 *
 * @param interval milliseconds between two requests
 * @param size bytes of payload
 */
export async function ping(guest: Guest, peer: Peer, count: number, interval = 20, size = 56): Promise<PingFigures> {
  const { stdout } = await guest.run(`ping -q -c ${count} -i ${interval / 1000} -s ${size} -W 2 ${peer.ip}`);
  const packets = /(\d+) packets transmitted, (\d+) packets received/.exec(stdout);
  if (packets === null) throw new GuestError(`ping says ${stdout}`);
  const times = /min\/avg\/max = ([\d.]+)\/([\d.]+)\/([\d.]+) ms/.exec(stdout);
  const [least, mean, most] = [1, 2, 3].map((i) => Number(times?.[i] ?? NaN));
  return { sent: Number(packets[1]), received: Number(packets[2]), least: least!, mean: mean!, most: most! };
}

/** Make a file of noise in the guest. @returns its sha256 */
export async function noise(guest: Guest, path: string, bytes: number): Promise<string> {
  await guest.ok(`head -c ${bytes} /dev/urandom > ${path}`);
  return sha256(guest, path);
}

async function sha256(guest: Guest, path: string): Promise<string> {
  return (await guest.ok(`sha256sum ${path}`)).split(' ')[0]!;
}

/**
 * Send a file by HTTP and fetch it again: many segments in flight.
 *
 * @throws GuestError when it does not come back as it was
 */
export async function httpBothWays(guest: Guest, peer: Peer, bytes: number): Promise<TransferFigures> {
  const port = peer.port ?? 80;
  const head = `PUT /http HTTP/1.0\\r\\nContent-Length: ${bytes}\\r\\n\\r\\n`;
  return bothWays(guest, bytes, async (from) => {
    const answer = await guest.ok(`(printf '${head}'; cat ${from}) | nc ${peer.ip} ${port}`);
    if (!answer.startsWith('HTTP/1.0 201') && !answer.startsWith('HTTP/1.1 201')) throw new GuestError(`PUT is answered with ${answer}`);
  }, async (to) => {
    await guest.ok(`wget -q -O ${to} http://${peer.ip}:${port}/http`);
  });
}

/**
 * Send a file by TFTP and fetch it again: one block in flight, so each costs a round trip.
 *
 * @throws GuestError when it does not come back as it was
 */
export async function tftpBothWays(guest: Guest, peer: Peer, bytes: number): Promise<TransferFigures> {
  return bothWays(guest, bytes, async (from) => {
    await guest.ok(`tftp -p -b 1428 -l ${from} -r tftp ${peer.ip}`);
  }, async (to) => {
    await guest.ok(`tftp -g -b 1428 -r tftp -l ${to} ${peer.ip}`);
  });
}

async function bothWays(
  guest: Guest, bytes: number, put: (from: string) => Promise<void>, get: (to: string) => Promise<void>,
): Promise<TransferFigures> {
  const sent = await noise(guest, '/tmp/sent', bytes);
  const from = performance.now();
  await put('/tmp/sent');
  const between = performance.now();
  await get('/tmp/back');
  const to = performance.now();
  const back = await sha256(guest, '/tmp/back');
  await guest.ok('rm /tmp/sent /tmp/back');
  if (back !== sent) throw new GuestError(`sha256 ${sent} was sent, ${back} came back`);
  const rate = (ms: number): number => bytes / (ms / 1000);
  return { bytes, sha256: sent, up: rate(between - from), down: rate(to - between) };
}
