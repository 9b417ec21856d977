/** lspci on the lab's sysfs, as pciutils prints it. */
import type { Applet, Program } from '../program.ts';

/** Names of the few ids a lab has; everything else prints as numbers. */
const classes: Readonly<Record<string, string>> = { '0200': 'Ethernet controller', '0600': 'Host bridge', '0604': 'PCI bridge', '0100': 'SCSI storage controller' };
const vendors: Readonly<Record<string, string>> = { '1af4': 'Red Hat, Inc.', '1b36': 'Red Hat, Inc.', '8086': 'Intel Corporation' };
const devices: Readonly<Record<string, string>> = {
  '1af4:1041': 'Virtio 1.0 network device', '1af4:1000': 'Virtio network device', '1af4:1042': 'Virtio 1.0 block device',
  '1af4:1001': 'Virtio block device', '1b36:0008': 'QEMU PCIe Host bridge', '1b36:000c': 'QEMU PCIe Root port',
};

interface Fn {
  readonly slot: string;
  readonly vendor: string;
  readonly device: string;
  readonly subvendor: string;
  readonly subdevice: string;
  readonly cls: string;
  readonly revision: string;
}

const root = '/sys/bus/pci/devices';
const id = (text: string): string => text.trim().replace(/^0x/, '');

async function readFn(c: Program, slot: string): Promise<Fn> {
  const file = (name: string): Promise<string> => c.p.readFile(`${root}/${slot}/${name}`).then(id);
  return {
    slot, vendor: await file('vendor'), device: await file('device'), subvendor: await file('subsystem_vendor'),
    subdevice: await file('subsystem_device'), cls: (await file('class')).slice(0, 4), revision: await file('revision'),
  };
}

/** `-s [[[[<domain>]:]<bus>]:][<slot>][.[<func>]]` */
function slotFilter(text: string): (slot: string) => boolean {
  const m = /^(?:(?:([0-9a-f]*):)?([0-9a-f]*):)?([0-9a-f]*)(?:\.([0-7]?))?$/i.exec(text);
  if (m === null) return () => false;
  const want = (part: string | undefined, digits: number): string | null => (part === undefined || part === '' ? null : part.toLowerCase().padStart(digits, '0'));
  const [domain, bus, dev, fn] = [want(m[1], 4), want(m[2], 2), want(m[3], 2), want(m[4], 1)];
  return (slot) => {
    const [d, b, rest] = slot.split(':') as [string, string, string];
    const [s, f] = rest.split('.') as [string, string];
    return (domain === null || domain === d) && (bus === null || bus === b) && (dev === null || dev === s) && (fn === null || fn === f);
  };
}

/** `-d [<vendor>]:[<device>]` */
function idFilter(text: string): (fn: Fn) => boolean {
  const [vendor = '', device = ''] = text.toLowerCase().split(':');
  return (fn) => (vendor === '' || vendor === fn.vendor) && (device === '' || device === fn.device);
}

function headline(fn: Fn, numeric: number, domain: boolean): string {
  const slot = domain ? fn.slot : fn.slot.replace(/^0000:/, '');
  const revision = fn.revision === '00' ? '' : ` (rev ${fn.revision})`;
  if (numeric === 1) return `${slot} ${fn.cls}: ${fn.vendor}:${fn.device}${revision}`;
  const name = `${vendors[fn.vendor] ?? `Vendor ${fn.vendor}`} ${devices[`${fn.vendor}:${fn.device}`] ?? `Device ${fn.device}`}`;
  const cls = classes[fn.cls] ?? `Class ${fn.cls}`;
  return numeric > 1 ? `${slot} ${cls} [${fn.cls}]: ${name} [${fn.vendor}:${fn.device}]${revision}` : `${slot} ${cls}: ${name}${revision}`;
}

async function driverLines(c: Program, fn: Fn, numeric: number): Promise<string[]> {
  const lines: string[] = [];
  if (fn.subvendor !== '0000') {
    const name = `${vendors[fn.subvendor] ?? `Vendor ${fn.subvendor}`} ${devices[`${fn.vendor}:${fn.device}`] ?? `Device ${fn.subdevice}`}`;
    lines.push(numeric === 1 ? `\tSubsystem: ${fn.subvendor}:${fn.subdevice}` : `\tSubsystem: ${name}${numeric > 1 ? ` [${fn.subvendor}:${fn.subdevice}]` : ''}`);
  }
  const entries = (await c.p.readdir(`${root}/${fn.slot}`)).map((e) => e.name);
  if (entries.includes('driver')) lines.push(`\tKernel driver in use: ${(await c.p.readlink(`${root}/${fn.slot}/driver`)).split('/').at(-1)}`);
  const modules = await matchingModules(c, (await c.p.readFile(`${root}/${fn.slot}/modalias`)).trim());
  if (modules.length > 0) lines.push(`\tKernel modules: ${modules.join(', ')}`);
  return lines;
}

/** Modules whose alias matches, as libkmod finds them for lspci. */
async function matchingModules(c: Program, modalias: string): Promise<string[]> {
  const aliases = await c.p.readFile(`/lib/modules/${c.system.release}/modules.alias`).catch(() => '');
  const found = aliases.split('\n').flatMap((line) => {
    const m = /^alias (pci:\S+) (\S+)$/.exec(line);
    if (m === null) return [];
    const pattern = (m[1] as string).replace(/[.+^${}()|\\]/g, '\\$&').replaceAll('*', '.*').replaceAll('?', '.');
    return new RegExp(`^${pattern}$`).test(modalias) ? [m[2] as string] : [];
  });
  return [...new Set(found)];
}

async function hexDump(c: Program, fn: Fn, level: number): Promise<string[]> {
  const fd = await c.p.open(`${root}/${fn.slot}/config`);
  try {
    const bytes = await c.p.pread(fd, [0, 64, 64, 256, 4096][level + 1] ?? 64, 0);
    return Array.from({ length: Math.ceil(bytes.length / 16) }, (_, row) => {
      const line = Array.from(bytes.subarray(16 * row, 16 * row + 16), (b) => b.toString(16).padStart(2, '0')).join(' ');
      return `${(16 * row).toString(16).padStart(2, '0')}: ${line}`;
    });
  } finally {
    await c.p.close(fd);
  }
}

/** `lspci [-n|-nn] [-k] [-v] [-D] [-x|-xxx|-xxxx] [-s SLOT] [-d ID]` */
export const lspci: Applet = async (c) => {
  let numeric = 0;
  let hex = 0;
  const on = new Set<string>();
  let slots: (slot: string) => boolean = () => true;
  let ids: (fn: Fn) => boolean = () => true;
  for (let i = 0; i < c.args.length; i++) {
    const arg = c.args[i] as string;
    if (arg === '-s' || arg === '-d') {
      const value = c.args[++i];
      if (value === undefined) return await c.fail(`option requires an argument -- '${arg.slice(1)}'`);
      if (arg === '-s') slots = slotFilter(value);
      else ids = idFilter(value);
      continue;
    }
    if (!/^-[nkvDx]+$/.test(arg)) return await c.fail(`invalid option -- '${arg.replace(/^-/, '')}'`);
    for (const letter of arg.slice(1)) {
      if (letter === 'n') numeric++;
      else if (letter === 'x') hex++;
      else on.add(letter);
    }
  }
  const names = (await c.p.readdir(root)).map((e) => e.name).filter(slots).sort();
  for (const name of names) {
    const fn = await readFn(c, name);
    if (!ids(fn)) continue;
    c.out(`${headline(fn, numeric, on.has('D'))}\n`);
    if (on.has('k') || on.has('v')) for (const line of await driverLines(c, fn, numeric)) c.out(`${line}\n`);
    if (hex > 0) for (const line of await hexDump(c, fn, hex)) c.out(`${line}\n`);
    if (on.has('v') || hex > 0) c.out('\n');
  }
  return 0;
};
