/** /dev/kmsg: the kernel log record by record, and lines of processes for it. Mirrors `devkmsg_*` in `kernel/printk/printk.c` (Linux 6.1). */
import type { Atomic, KernelSymbols, LogLine, Machine } from '@vdpalab/abi';
import { LOG_PRIMASK, LOG_USER, O_NONBLOCK, POLLERR, POLLIN, POLLPRI, POLLRDNORM, SEEK_DATA, SEEK_END, SEEK_SET } from '@vdpalab/uapi';
import { fail } from './fail.ts';
import type { File, FileOperations } from './header.ts';
import type { Nap } from './nap.ts';
import { decodeText, encodeText } from './text.ts';

/** Level of a line that names none: `MESSAGE_LOGLEVEL_DEFAULT`. */
const LEVEL_DEFAULT = 4;
/** Most bytes of one write: `LOG_LINE_MAX`. */
const LINE_MAX = 1024 - 32;
/** Lines that one open file may write in a while: `DEFAULT_RATELIMIT_BURST`, `DEFAULT_RATELIMIT_INTERVAL` in ns. */
const BURST = 10;
const INTERVAL = 5e9;
const BACKSLASH = 0x5c;

/** `struct devkmsg_user`: an open file. */
interface Reader {
  /** Number of the record to be read next. */
  seq: number;
  readonly comm: string;
  /** When the lines that count were begun, ns; `null` before the first. */
  begun: number | null;
  printed: number;
  missed: number;
}

/** `printk.devkmsg=` of the command line. */
function ratelimited(cmdline: string): 'on' | 'off' | 'ratelimit' {
  const given = /(?:^|\s)printk\.devkmsg=(on|off)(?=\s|$)/.exec(cmdline)?.[1];
  return given === 'on' || given === 'off' ? given : 'ratelimit';
}

/** `prio,seq,usec,flag;text` with what cannot be printed as `\xNN`. */
function format({ facility, level, at, text }: LogLine, seq: number): Uint8Array {
  const escaped = Array.from(encodeText(text), (byte) => (
    byte < 0x20 || byte >= 0x7f || byte === BACKSLASH ? `\\x${byte.toString(16).padStart(2, '0')}` : String.fromCodePoint(byte)));
  return encodeText(`${facility | level},${seq},${Math.floor(at / 1000)},-;${escaped.join('')}\n`);
}

/** What a process wrote: `<N>text`, where N is a level and may be a facility too. */
function parse(written: string): { readonly facility: number; readonly level: number; readonly text: string } {
  const [, prefix, rest = ''] = /^(?:<(\d*)>)?([^]*)$/.exec(written) ?? []; // matches any text
  const text = (rest.split('\0', 1)[0] ?? '').replace(/\n$/, '');
  if (prefix === undefined) return { facility: LOG_USER, level: LEVEL_DEFAULT, text };
  const prio = Number(BigInt.asUintN(32, BigInt(prefix)));
  const facility = (prio >>> 3 & 0xff) << 3;
  return { facility: facility === 0 ? LOG_USER : facility, level: prio & LOG_PRIMASK, text };
}

/** Make the device's operations. */
export function createKmsg(machine: Machine, k: Pick<KernelSymbols, '_printk' | 'init_waitqueue_head' | 'wake_up'>, nap: Nap): FileOperations {
  const { log, sched } = machine;
  const logWait = k.init_waitqueue_head('log_wait');
  log.watchers.add((): Atomic => k.wake_up(logWait));
  const devkmsg = ratelimited(machine.cmdline);
  const readerOf = (file: File): Reader => file.private_data as Reader; // open put it there

  /** `___ratelimit`: whether one more line may pass. */
  function mayPrint(reader: Reader): boolean {
    if (reader.begun === null || sched.now > reader.begun + INTERVAL) {
      reader.begun = sched.now;
      reader.printed = 0;
    }
    if (reader.printed < BURST) {
      reader.printed++;
      return true;
    }
    reader.missed++;
    return false;
  }

  return {
    ownPosition: true,
    open: async (file, proc) => {
      if (devkmsg === 'off') throw fail('EPERM', 'kmsg.off', 'printk.devkmsg=off');
      file.private_data = { seq: log.first, comm: proc.comm, begun: null, printed: 0, missed: 0 } satisfies Reader;
    },
    release: async (file) => {
      const { comm, missed } = readerOf(file);
      if (missed > 0) k._printk(4, `${comm}: ${missed} output lines suppressed due to ratelimiting`);
    },
    read: async (file, len) => {
      const reader = readerOf(file);
      if (reader.seq >= log.next) {
        if ((file.flags & O_NONBLOCK) !== 0) throw fail('EAGAIN', 'kmsg.empty', `record ${reader.seq} is not written yet`);
        await nap(logWait, () => reader.seq < log.next, `read of ${file.path}`, 'devkmsg_read');
      }
      const { seq } = reader;
      const record = log.record(seq);
      if (record === undefined) {
        reader.seq = log.first;
        throw fail('EPIPE', 'kmsg.overwritten', `record ${seq} is gone, the oldest is ${log.first}`);
      }
      reader.seq = seq + 1;
      const bytes = format(record, seq);
      if (bytes.length > len) throw fail('EINVAL', 'kmsg.size', `record ${seq} has ${bytes.length} bytes, the buffer ${len}`);
      return bytes;
    },
    write: async (file, bytes) => {
      if (bytes.length > LINE_MAX) throw fail('EINVAL', 'kmsg.line', `${bytes.length} bytes, at most ${LINE_MAX}`);
      if (devkmsg === 'ratelimit' && !mayPrint(readerOf(file))) return bytes.length;
      const { level, facility, text } = parse(decodeText(bytes));
      machine.console(level, facility, text);
      return bytes.length;
    },
    llseek: async (file, offset, whence) => {
      if (offset !== 0) throw fail('ESPIPE', 'kmsg.offset', `offset ${offset}: only 0 is a place`);
      const seq = new Map([[SEEK_SET, log.first], [SEEK_DATA, log.cleared], [SEEK_END, log.next]]).get(whence);
      if (seq === undefined) throw fail('EINVAL', 'kmsg.whence', `whence ${whence}`);
      readerOf(file).seq = seq;
      return 0;
    },
    poll: (file) => {
      const { seq } = readerOf(file);
      if (seq >= log.next) return 0;
      return POLLIN | POLLRDNORM | (seq < log.first ? POLLERR | POLLPRI : 0);
    },
    pollQueue: () => logWait,
  };
}
