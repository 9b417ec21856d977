/** `vhost-net`: a virtio network driver in a process of the lab, over vhost-vdpa, or over VFIO and vhost-mdev. */
import { parseArgs } from 'node:util';
import { isKernelError } from '@vdpalab/abi';
import { PcapError, PcapWriter, readPcap } from '@vdpalab/machine';
import { readFileBytes, writeFileBytes, type Applet, type Program } from '@vdpalab/shell';
import { VhostMdevDevice, VhostVdpaFile, VirtioUserNet, type UserVirtioDevice } from '@vdpalab/user';

const usage = `usage: vhost-net -d DEVICE [-w FILE] [-c COUNT] [-t MS] [-r FILE] [--doorbell] [--queue-size N]
Drive DEVICE from this process: /dev/vhost-vdpa-N, or the name of a device that vhost_mdev has (vdpa0).
  -w FILE         write the frames that arrive to FILE as a capture
  -c COUNT        stop after COUNT frames
  -t MS           stop after MS milliseconds without a frame; for ever when absent
  -r FILE         first send the frames of a capture
  --doorbell      ring doorbells through their mapped page instead of an eventfd
  --queue-size N  descriptors of each ring, a power of two (256)
`;

/** How long a device may take over a frame: a reset would lose it. */
const SENT_NS = 1e9;

/** A whole number above 0. @throws TypeError naming the option */
function count(text: string, option: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new TypeError(`${option} takes a number above 0, not '${text}'`);
  return Number(text);
}

function options(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      device: { type: 'string', short: 'd' }, write: { type: 'string', short: 'w' }, count: { type: 'string', short: 'c' },
      timeout: { type: 'string', short: 't' }, read: { type: 'string', short: 'r' }, doorbell: { type: 'boolean' },
      'queue-size': { type: 'string' }, help: { type: 'boolean', short: 'h' },
    },
  });
  return {
    help: values.help === true,
    device: values.device ?? null,
    write: values.write ?? null,
    read: values.read ?? null,
    count: values.count === undefined ? Number.POSITIVE_INFINITY : count(values.count, '-c'),
    timeoutNs: values.timeout === undefined ? -1 : count(values.timeout, '-t') * 1e6,
    queueSize: count(values['queue-size'] ?? '256', '--queue-size'),
    doorbell: values.doorbell === true,
  };
}

type Options = ReturnType<typeof options> & { readonly device: string };

async function receive(c: Program, net: VirtioUserNet<UserVirtioDevice>, o: Options): Promise<number> {
  const pcap = new PcapWriter();
  let frames = 0;
  while (frames < o.count) {
    const arrived = await net.wait(o.timeoutNs);
    if (arrived.length === 0 && o.timeoutNs >= 0) break;
    for (const frame of arrived) pcap.packet(c.system.now(), frame);
    frames += arrived.length;
  }
  if (o.write !== null) await writeFileBytes(c, o.write, pcap.bytes());
  return frames;
}

async function drive(c: Program, o: Options): Promise<number> {
  const sent = o.read === null ? [] : readPcap(await readFileBytes(c, o.read));
  const file = await (o.device.startsWith('/') ? VhostVdpaFile.open(c.p, o.device) : VhostMdevDevice.open(c.p, o.device));
  const net = await VirtioUserNet.on<UserVirtioDevice>(c.p, file, { mappedDoorbells: o.doorbell, queueSize: o.queueSize });
  try {
    for (const packet of sent) await net.send(packet.bytes);
    await net.flush(SENT_NS);
    if (o.read !== null) c.out(`${sent.length} frames sent\n`);
    const frames = o.read !== null && o.write === null && o.count === Number.POSITIVE_INFINITY ? 0 : await receive(c, net, o);
    c.out(`${frames} frames received\n`);
    return 0;
  } finally {
    await net.stop();
  }
}

/** The program. */
export const vhostNet: Applet = async (c) => {
  try {
    const o = options(c.args);
    if (o.help) {
      c.out(usage);
      return 0;
    }
    if (o.device === null) throw new TypeError('no device; name one with -d');
    return await drive(c, { ...o, device: o.device });
  } catch (error) {
    if (isKernelError(error)) return await c.fail(`${error.message} (${error.errno})`);
    if (error instanceof TypeError) return await c.fail(`${error.message}\n${usage.split('\n')[0]}`, 2);
    if (error instanceof PcapError) return await c.fail(error.message);
    throw error;
  }
};
