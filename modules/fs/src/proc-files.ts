/** Files of /proc that do not belong to a process. Mirrors `fs/proc` and `kernel/sysctl.c` (Linux 6.1). */
import type { KernelSymbols, Machine } from '@vdpalab/abi';
import { CAP_SYS_ADMIN, CAP_SYSLOG } from '@vdpalab/uapi';
import { fail } from './fail.ts';
import type { FsSymbols } from './header.ts';
import type { NodeMaker } from './kernfs.ts';
import { modulesText } from './proc-modules.ts';
import { attach } from './tree.ts';
import type { DirTreeNode } from './tree.ts';

/** What the files show. */
export interface ProcFacts {
  readonly machine: Machine;
  readonly k: Pick<KernelSymbols, 'modules' | 'tainted' | 'add_taint' | 'nr_free_pages'>;
  readonly chrdevs: () => readonly (readonly [major: number, name: string])[];
  readonly blkdevs: () => readonly (readonly [major: number, name: string])[];
}

/** Bits of `tainted`: `TAINT_FLAGS_COUNT`. */
const TAINT_FLAGS = 19;
/** Bytes of the modprobe path, terminating zero included. */
const KMOD_PATH_LEN = 256;

const MOUNTS = [
  ['sysfs', '/sys', 'sysfs'], ['proc', '/proc', 'proc'], ['devtmpfs', '/dev', 'devtmpfs'], ['rootfs', '/', 'rootfs'],
] as const;

/** Hang the files into /proc. */
export function createProcFiles(
  proc: DirTreeNode, make: NodeMaker, proc_create: FsSymbols['proc_create'], { machine, k, chrdevs, blkdevs }: ProcFacts,
): Pick<FsSymbols, 'modules_disabled' | 'modprobe_path'> {
  const kB = (bytes: number): string => `${Math.floor(bytes / 1024)}`.padStart(8);
  const version = `#1 SMP PREEMPT_DYNAMIC vdpalab`;
  let modprobe = '/sbin/modprobe';
  let disabled = false;

  proc_create('cmdline', 0o444, () => `${machine.cmdline}\n`);
  proc_create('version', 0o444, () => `Linux version ${machine.release} (vdpalab) ${version}\n`);
  proc_create('modules', 0o444, (reader) => modulesText(k.modules(), reader.cred.caps.has(CAP_SYSLOG)));
  const majors = (of: readonly (readonly [number, string])[]): string => of.map(([major, name]) => `${`${major}`.padStart(3)} ${name}\n`).join('');
  proc_create('devices', 0o444, () => `Character devices:\n${majors(chrdevs())}\nBlock devices:\n${majors(blkdevs())}`);
  proc_create('uptime', 0o444, () => {
    const seconds = (machine.sched.now / 1e9).toFixed(2);
    return `${seconds} ${seconds}\n`;
  });
  proc_create('meminfo', 0o444, () => {
    const total = machine.ram.regions.reduce((sum, region) => sum + region.size, 0);
    return `MemTotal:       ${kB(total)} kB\nMemFree:        ${kB(k.nr_free_pages() * 4096)} kB\n`;
  });
  proc_create('mounts', 0o444, () => MOUNTS.map(([what, where, type]) => `${what} ${where} ${type} rw 0 0\n`).join(''));
  proc_create('filesystems', 0o444, () => 'nodev\tsysfs\nnodev\tproc\nnodev\tdevtmpfs\nnodev\trootfs\n');

  proc_create('sys/kernel/ostype', 0o444, () => 'Linux\n');
  proc_create('sys/kernel/osrelease', 0o444, () => `${machine.release}\n`);
  proc_create('sys/kernel/version', 0o444, () => `${version}\n`);
  proc_create('sys/kernel/hostname', 0o644, () => 'vdpalab\n');
  proc_create('sys/kernel/tainted', 0o644, () => `${k.tainted()}\n`, async (text, writer) => {
    if (!writer.cred.caps.has(CAP_SYS_ADMIN)) throw fail('EPERM', 'proc.tainted', 'CAP_SYS_ADMIN is missing');
    const bits = /^\s*(\d+)\s*$/.exec(text)?.[1];
    if (bits === undefined) throw fail('EINVAL', 'proc.tainted.text', `'${text.trim()}' is no number`);
    for (let bit = 0; bit < TAINT_FLAGS; bit++) if (((BigInt(bits) >> BigInt(bit)) & 1n) === 1n) k.add_taint(bit); // none is ever taken back
  });
  proc_create('sys/kernel/modprobe', 0o644, () => `${modprobe}\n`, async (text) => {
    modprobe = (text.split('\n', 1)[0] as string).slice(0, KMOD_PATH_LEN - 1); // split gives at least one
  });

  proc_create('sys/kernel/modules_disabled', 0o644, () => `${disabled ? 1 : 0}\n`, async (text) => {
    if (!/^\s*\+?1\s*$/.test(text)) throw fail('EINVAL', 'proc.modules-disabled', `modules_disabled can only become 1, not ${text.trim()}`);
    disabled = true;
  });

  attach(proc, make.link('self', 'proc', (reader) => `${reader.pid}`));
  return { modules_disabled: () => disabled, modprobe_path: () => modprobe };
}
