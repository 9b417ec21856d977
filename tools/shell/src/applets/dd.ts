/** `dd` of coreutils 9.1: blocks from one file to another. */
import { O_APPEND, O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY } from '@vdpalab/uapi';
import type { Applet, Program } from '../program.ts';
import { errorText } from '../system.ts';
import { quoteName } from './options.ts';

const UNITS: Readonly<Record<string, number>> = {
  '': 1, c: 1, w: 2, b: 512, K: 1024, k: 1024, M: 1024 ** 2, G: 1024 ** 3, kB: 1000, KB: 1000, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3,
};

/** `4k`, `2x512`; `null` for no number. */
function number(text: string): number | null {
  let product = 1;
  for (const factor of text.split('x')) {
    const m = /^(\d+)([a-zA-Z]*)$/.exec(factor);
    const unit = m === null ? undefined : UNITS[m[2]];
    if (m === null || unit === undefined) return null;
    product *= Number(m[1]) * unit;
  }
  return product;
}

interface Job {
  readonly input: string | undefined;
  readonly output: string | undefined;
  readonly ibs: number;
  readonly obs: number;
  readonly count: number;
  readonly skip: number;
  readonly seek: number;
  readonly conv: ReadonlySet<string>;
  readonly oflag: ReadonlySet<string>;
  readonly status: string;
}

async function parse(c: Program): Promise<Job | null> {
  const values = new Map<string, string>();
  for (const arg of c.args) {
    const at = arg.indexOf('=');
    const name = arg.slice(0, Math.max(at, 0));
    if (at < 0 || !['if', 'of', 'bs', 'ibs', 'obs', 'cbs', 'count', 'skip', 'seek', 'conv', 'iflag', 'oflag', 'status'].includes(name)) {
      await c.err(`dd: unrecognized operand ${quoteName(arg)}\nTry 'dd --help' for more information.\n`);
      return null;
    }
    values.set(name, arg.slice(at + 1));
  }
  const numbers: Record<string, number> = { count: Infinity, skip: 0, seek: 0, ibs: 512, obs: 512 };
  for (const name of ['ibs', 'obs', 'count', 'skip', 'seek', 'bs']) {
    const text = values.get(name);
    if (text === undefined) continue;
    const value = number(text);
    if (value === null || (/bs$/.test(name) && value === 0)) {
      await c.fail(`invalid number: ${quoteName(text)}`);
      return null;
    }
    if (name === 'bs') numbers['ibs'] = numbers['obs'] = value;
    else numbers[name] = value;
  }
  const { ibs, obs, count, skip, seek } = numbers as { ibs: number; obs: number; count: number; skip: number; seek: number }; // all were set above
  const set = (name: string): ReadonlySet<string> => new Set(values.get(name)?.split(',') ?? []);
  return { input: values.get('if'), output: values.get('of'), ibs, obs, count, skip, seek, conv: set('conv'), oflag: set('oflag'), status: values.get('status') ?? '' };
}

/** Open what a name says, or take the stream. @returns `null` after saying why not */
async function open(c: Program, path: string | undefined, stream: number, flags: number): Promise<number | null> {
  if (path === undefined) return stream;
  try {
    return await c.p.open(path, flags);
  } catch (error) {
    await c.fail(`failed to open ${quoteName(path)}: ${errorText(error)}`);
    return null;
  }
}

export const dd: Applet = async (c) => {
  const job = await parse(c);
  if (job === null) return 1;
  const { p } = c;
  const from = await open(c, job.input, 0, O_RDONLY);
  if (from === null) return 1;
  const truncates = !job.conv.has('notrunc') && job.seek === 0;
  const to = await open(c, job.output, 1, O_WRONLY | (job.conv.has('nocreat') ? 0 : O_CREAT) | (truncates ? O_TRUNC : 0) | (job.oflag.has('append') ? O_APPEND : 0));
  if (to === null) return 1;
  const records = { fullIn: 0, partIn: 0, fullOut: 0, partOut: 0, bytes: 0 };
  const started = c.system.now();
  let status = 0;
  let pending = new Uint8Array(0);
  const write = async (bytes: Uint8Array): Promise<boolean> => {
    try {
      const written = await p.write(to, bytes);
      records.bytes += written;
      if (written === job.obs) records.fullOut++;
      else if (written > 0) records.partOut++;
      if (written < bytes.length) {
        status = await c.fail(`error writing ${quoteName(job.output ?? 'standard output')}: No space left on device`);
        return false;
      }
      return true;
    } catch (error) {
      status = await c.fail(`error writing ${quoteName(job.output ?? 'standard output')}: ${errorText(error)}`);
      return false;
    }
  };
  try {
    if (job.skip > 0) await skipInput(c, from, job);
    if (job.seek > 0) await p.lseek(to, job.seek * job.obs, 0);
  } catch (error) {
    return c.fail(`${quoteName(job.input ?? 'standard input')}: cannot skip: ${errorText(error)}`);
  }
  copying: while (records.fullIn + records.partIn < job.count) {
    let block: Uint8Array;
    try {
      block = await p.read(from, job.ibs);
    } catch (error) {
      status = await c.fail(`error reading ${quoteName(job.input ?? 'standard input')}: ${errorText(error)}`);
      break;
    }
    if (block.length === 0) break;
    if (block.length === job.ibs) records.fullIn++;
    else records.partIn++;
    if (block.length < job.ibs && job.conv.has('sync')) block = Uint8Array.from({ length: job.ibs }, (_, i) => block[i] ?? 0);
    if (job.ibs === job.obs) {
      if (!(await write(block))) break;
      continue;
    }
    const joined = new Uint8Array(pending.length + block.length);
    joined.set(pending);
    joined.set(block, pending.length);
    let at = 0;
    for (; joined.length - at >= job.obs; at += job.obs) if (!(await write(joined.subarray(at, at + job.obs)))) break copying;
    pending = joined.slice(at);
  }
  if (status === 0 && pending.length > 0) await write(pending);
  for (const fd of [from, to]) if (fd > 1) await p.close(fd);
  if (job.status !== 'none') {
    await c.err(`${records.fullIn}+${records.partIn} records in\n${records.fullOut}+${records.partOut} records out\n`);
    if (job.status !== 'noxfer') await c.err(transferred(records.bytes, (c.system.now() - started) / 1e9));
  }
  return status;
};

async function skipInput(c: Program, from: number, job: Job): Promise<void> {
  try {
    await c.p.lseek(from, job.skip * job.ibs, 0);
  } catch (error) {
    errorText(error); // a pipe cannot seek: read what is to be skipped
    for (let i = 0; i < job.skip; i++) if ((await c.p.read(from, job.ibs)).length === 0) return;
  }
}

/** `1024 bytes (1.0 kB, 1.0 KiB) copied, 0.001 s, 1.0 MB/s` */
function transferred(bytes: number, seconds: number): string {
  const human = (n: number, base: number, units: readonly string[]): string => {
    let value = n;
    let unit = 0;
    while (value >= base && unit < units.length - 1) {
      value /= base;
      unit++;
    }
    return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
  };
  const si = ['B', 'kB', 'MB', 'GB', 'TB'];
  const short = bytes < 1000 ? '' : bytes < 1024 ? ` (${human(bytes, 1000, si)})` : ` (${human(bytes, 1000, si)}, ${human(bytes, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB'])})`;
  const rate = seconds > 0 ? `${human(bytes / seconds, 1000, si)}/s` : 'Infinity B/s';
  return `${bytes} byte${bytes === 1 ? '' : 's'}${short} copied, ${seconds > 0 ? Number(seconds.toPrecision(6)) : 0} s, ${rate}\n`;
}
