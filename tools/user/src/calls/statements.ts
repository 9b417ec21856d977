/** The system calls a script can make. */
import type { UserProcess } from '@vdpalab/lab';
import { MAP_ANONYMOUS, MAP_PRIVATE, O_NONBLOCK, PROT_READ, PROT_WRITE, _IOC_DIR, _IOC_READ } from '@vdpalab/uapi';
import { field, hex, joined, number, shown, type Names } from './fields.ts';

/** Bytes behind the pointer an ioctl gets. */
export const SCRATCH = 8192;
const MS = 1_000_000;
/** How often, a millisecond apart, memory is looked at for what is awaited. */
const LOOKS = 3000;

/** What a call works with. */
export interface Given {
  readonly p: UserProcess;
  readonly names: Names;
  /** Address of {@link SCRATCH} bytes. */
  readonly scratch: number;
}

/** One kind of call. @returns its result, and what is said of it where that is more than the number. @throws KernelError */
export type Call = (given: Given, args: readonly string[]) => Promise<{ readonly value: number; readonly text?: string }>;

const OK = { value: 0, text: 'ok' } as const;

/** A call whose arguments are integers, absent ones 0. */
const integers = (call: (p: UserProcess, ...args: number[]) => Promise<number | void> | number): Call => async ({ p, names }, args) => {
  const value = await call(p, ...args.map((arg) => Number(BigInt.asIntN(64, names.value(arg)))));
  return { value: value ?? 0 };
};

const ioctl = (show: boolean): Call => async ({ p, names, scratch }, [fd = '', cmd = '', ...fields]) => {
  const argument = new Uint8Array(SCRATCH);
  argument.set(joined(fields.map((text) => field(text, names))));
  p.proc.mm.write(scratch, argument);
  const nr = Number(BigInt.asUintN(32, names.value(cmd)));
  const value = await p.ioctl(names.int(fd), nr, scratch);
  if (!show && ((_IOC_DIR(nr) & _IOC_READ) === 0)) return { value };
  return { value, text: `${value} [${shown(fields, names, p.proc.mm.read(scratch, SCRATCH))}]` };
};

/** `b32 16 8`: what lies at an address, in these widths. */
const get: Call = async ({ p, names }, [address = '', ...widths]) => {
  let at = Number(names.value(address));
  const parts = widths.map((width) => {
    const size = width.startsWith('b') ? Number(width.slice(1)) : Number(width) / 8;
    const bytes = p.proc.mm.read(at, size);
    at += size;
    return width.startsWith('b') ? hex(bytes) : `0x${number(bytes).toString(16)}`;
  });
  return { value: 0, text: parts.join(' ') };
};

const wait: Call = async ({ p, names }, [address = '', wanted = '']) => {
  const at = Number(names.value(address));
  const value = names.value(wanted) & 0xffffn;
  const seen = (): bigint => number(p.proc.mm.read(at, 2));
  for (let looks = 0; seen() !== value && looks < LOOKS; looks++) await p.poll([], MS);
  return { value: 0, text: `${seen() === value ? '' : 'still '}0x${seen().toString(16)}` };
};

/** By name. */
export const calls: Readonly<Record<string, Call>> = {
  open: async ({ p, names }, [path = '', flags = '0']) => ({ value: await p.open(path, names.int(flags)) }),
  eventfd: integers((p, initial = 0) => p.eventfd(initial, O_NONBLOCK)),
  dup: integers((p, fd = 0) => p.dup(fd)),
  close: integers((p, fd = 0) => p.close(fd)),
  mem: integers((p, size = 0) => p.mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)),
  map: async (given, args) => ({ ...await integers((p, fd = 0, len = 0, prot = 0, flags = 0, offset = 0) => p.mmap(len, prot, flags, fd, offset))(given, args), text: 'ok' }),
  unmap: integers((p, address = 0, len = 0) => p.munmap(address, len)),
  ioctl: ioctl(false),
  show: ioctl(true), // for requests whose number does not say that their argument comes back
  pread: async ({ p, names }, [fd = '', len = '0', at = '0']) => {
    const bytes = await p.pread(names.int(fd), names.int(len), Number(names.value(at)));
    return { value: bytes.length, text: `${bytes.length} ${hex(bytes)}` };
  },
  call: async ({ p, names }, [fd = '', cmd = '', arg = '0']) => ({ value: await p.ioctl(names.int(fd), Number(BigInt.asUintN(32, names.value(cmd))), Number(names.value(arg))) }),
  read: async ({ p, names }, [fd = '', len = '0', most]) => {
    const bytes = await p.read(names.int(fd), names.int(len));
    return { value: bytes.length, text: `${bytes.length} ${hex(most === undefined ? bytes : bytes.subarray(0, names.int(most)))}` };
  },
  write: async ({ p, names }, [fd = '', ...fields]) => ({ value: await p.write(names.int(fd), joined(fields.map((text) => field(text, names)))) }),
  poll: async ({ p, names }, [fd = '', events = '0', ms = '0']) => {
    const [revents = 0] = await p.poll([{ fd: names.int(fd), events: names.int(events) }], names.int(ms) * MS);
    return { value: 0, text: `${revents === 0 ? 0 : 1} [0x${revents.toString(16)}]` };
  },
  put: async ({ p, names }, [address = '', ...fields]) => {
    p.proc.mm.write(Number(names.value(address)), joined(fields.map((text) => field(text, names))));
    return OK;
  },
  get,
  wait,
  uid: integers(async ({ proc: { cred } }, uid = 0) => {
    cred.uid = uid;
    cred.gid = uid;
    if (uid !== 0) cred.caps.clear();
  }),
  limit: integers(async ({ proc }, limit = 0, bytes = 0) => void proc.rlimits.set(limit, bytes)),
};
