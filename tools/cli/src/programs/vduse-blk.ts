/** `vduse-blk`: a process of the lab that is a block device, over VDUSE. */
import { parseArgs } from 'node:util';
import { isKernelError } from '@vdpalab/abi';
import { readFileBytes, writeFileBytes, type Applet, type Program } from '@vdpalab/shell';
import { destroyVduse, VduseDisk } from '@vdpalab/user';

const usage = `usage: vduse-blk -n NAME [-s SECTORS] [-i FILE] [--serial TEXT] [--queue-size N] [--queues N]
       vduse-blk -d NAME
Serve the disk NAME from this process until it is killed; "vdpa dev add name NAME mgmtdev vduse" puts it on the bus.
  -s SECTORS      size in sectors of 512 bytes (2048)
  -i FILE         contents to begin with, instead of zeros; gives the size
  --serial TEXT   serial number, at most 20 characters (NAME)
  --queue-size N  descriptors of each queue, a power of two (128)
  --queues N      queues (1)
  -d              destroy what an ended process has left
`;

const SECTOR = 512;
const SECTORS = '2048';

/** A whole number above 0. @throws TypeError naming the option */
function count(text: string, option: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new TypeError(`${option} takes a number above 0, not '${text}'`);
  return Number(text);
}

function options(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      name: { type: 'string', short: 'n' }, sectors: { type: 'string', short: 's' }, image: { type: 'string', short: 'i' }, serial: { type: 'string' },
      'queue-size': { type: 'string' }, queues: { type: 'string' }, destroy: { type: 'string', short: 'd' }, help: { type: 'boolean', short: 'h' },
    },
  });
  return {
    help: values.help === true, destroy: values.destroy ?? null, name: values.name ?? null, image: values.image ?? null, serial: values.serial,
    sectors: count(values.sectors ?? SECTORS, '-s'), queueSize: count(values['queue-size'] ?? '128', '--queue-size'), queues: count(values.queues ?? '1', '--queues'),
  };
}

type Options = ReturnType<typeof options>;

/** The image, cut or filled to whole sectors; zeros without one. */
async function contentsOf(c: Program, { image, sectors }: Options): Promise<Uint8Array> {
  if (image === null) return new Uint8Array(sectors * SECTOR);
  const bytes = await readFileBytes(c, image);
  const whole = new Uint8Array(Math.ceil(bytes.length / SECTOR) * SECTOR);
  whole.set(bytes);
  return whole;
}

async function serve(c: Program, name: string, o: Options): Promise<number> {
  const contents = await contentsOf(c, o);
  const disk = await VduseDisk.create(c.p, name, { contents, queueSize: o.queueSize, queues: o.queues, ...(o.serial === undefined ? {} : { serial: o.serial }) });
  c.out(`serving /dev/vduse/${name}: ${contents.length / SECTOR} sectors\n`);
  await c.flush();
  await disk.serve(); // ends when the kernel has given the device up
  if (o.image !== null) await writeFileBytes(c, o.image, contents);
  return await c.fail(`${name}: the kernel takes the device for broken`);
}

/** The program. */
export const vduseBlk: Applet = async (c) => {
  try {
    const o = options(c.args);
    if (o.help) {
      c.out(usage);
      return 0;
    }
    if (o.destroy !== null) {
      await destroyVduse(c.p, o.destroy);
      return 0;
    }
    if (o.name === null) throw new TypeError('no name; give one with -n');
    return await serve(c, o.name, o);
  } catch (error) {
    if (isKernelError(error)) return await c.fail(`${error.message} (${error.errno})`);
    if (error instanceof TypeError) return await c.fail(`${error.message}\n${usage.split('\n')[0]}`, 2);
    throw error;
  }
};
