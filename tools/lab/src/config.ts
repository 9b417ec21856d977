/** The lab file: what machine to build. Checked by zod; every refusal names file, line and column. */
import { KERNEL_RELEASES } from '@vdpalab/abi';
import { isMap, isScalar, LineCounter, parseDocument, type Document } from 'yaml';
import { OPTIONAL_FEATURES, readDump, type OptionalFeature } from '@vdpalab/machine';
import * as z from 'zod';
import { FaultRuleError, parseFaultRule } from './faults/rule.ts';

/** `256M`, `4G`, `65536`: bytes. */
const size = z.union([
  z.int().positive(),
  z.string().regex(/^\d+[KMG]?$/, 'a size such as 256M').transform((text) => {
    const unit = { K: 1024, M: 1024 ** 2, G: 1024 ** 3 }[text.slice(-1)] ?? 1;
    return Number.parseInt(text, 10) * unit;
  }),
]).describe('bytes; K, M and G are powers of 1024');

const hex16 = z.int().min(0).max(0xffff);
const mac = z.string().regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i, 'a MAC address such as 52:54:00:00:00:0a').toLowerCase();

/** `07:00.0` or `00:01.0`: bus, device, function in hex; quote it in YAML. */
const bdf = z.string().regex(/^[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/i, 'an address such as "07:00.0"').toLowerCase();

const rootPort = z.strictObject({
  at: bdf.describe('on bus 00'),
  bus: z.int().min(1).max(255).describe('number of the bus behind the port'),
  buses: z.int().min(1).max(255).default(1).describe('bus numbers reserved behind the port, for virtual functions'),
  acs: z.boolean().default(true).describe('access control services: functions behind the port get groups of their own'),
});

const vfOverride = z.strictObject({
  mac: mac.optional(),
  learning: z.boolean().optional().describe('false: the switch learns no addresses from this port'),
  link: z.string().optional().describe('network this function is plugged into, instead of the physical function\'s'),
});

const powerOfTwo = (n: number): boolean => (n & (n - 1)) === 0;

const n3000 = z.strictObject({
  at: bdf,
  model: z.literal('n3000'),
  ids: z.strictObject({ vendor: hex16, device: hex16, subvendor: hex16, subdevice: hex16 }).partial().default({})
    .describe('of the physical function; IFCVF\'s are its virtual functions\' own'),
  sriov: z.strictObject({
    total: z.int().min(0).max(256).default(8),
    offset: z.int().min(1).max(0xffff).default(2),
    stride: z.int().min(1).max(0xffff).default(1),
  }).prefault({}),
  queue_pairs: z.int().min(1).max(8).default(1).describe('per virtual function'),
  queue_size: z.int().min(64).max(32768).refine(powerOfTwo, 'a power of two').default(1024),
  mtu: z.int().min(68).max(65535).default(1500).describe('largest MTU the functions offer, bytes'),
  mac: mac.optional().describe('of the physical function; virtual function n has this plus n + 1'),
  link: z.string().optional().describe('network the functions are plugged into'),
  promisc: z.boolean().default(true).describe('false: receive own unicast, broadcast and multicast only'),
  without: z.array(z.enum(Object.keys(OPTIONAL_FEATURES) as OptionalFeature[])).default([]).describe('features the functions do not offer'),
  lm_profile: z.enum(['pairs', 'linear', 'none']).default('pairs').describe('how ring state is addressed: by Linux 6.1 and DPDK, or by Linux since 6.3; none: without BAR 4'),
  vfs: z.record(z.string().regex(/^\d+$/, 'a virtual function\'s number'), vfOverride).default({}),
});

const siov = z.strictObject({
  at: bdf,
  model: z.literal('siov'),
  adis: z.int().min(1).max(32).default(8).describe('assignable interfaces, a network device each'),
  queue_size: z.int().min(64).max(32768).refine(powerOfTwo, 'a power of two').default(256),
  mtu: z.int().min(68).max(65535).default(1500).describe('bytes'),
  mac: mac.optional().describe('of interface 0; interface n has this plus n'),
  link: z.string().optional().describe('network the interfaces are plugged into'),
  promisc: z.boolean().default(true).describe('false: receive own unicast, broadcast and multicast only'),
});

const connectx = z.strictObject({
  at: bdf,
  model: z.literal('connectx'),
  subfunctions: z.int().min(0).max(4096).default(16).describe('largest number of them'),
  vectors: z.int().min(4).max(256).default(64).describe('MSI-X vectors, of the function and its subfunctions together'),
  queue_pairs: z.int().min(1).max(8).default(4).describe('of a virtio network device on a function'),
  mtu: z.int().min(68).max(9978).default(9000).describe('largest MTU, bytes'),
  mac: mac.optional().describe('of the physical function; subfunction n has this plus n + 1 until it is told another'),
  link: z.string().optional().describe('network the function and its subfunctions are plugged into'),
  promisc: z.boolean().default(true).describe('false: take frames only for addresses that a driver has put into the L2 table'),
  packed: z.boolean().default(false).describe('queues may be packed: vDPA devices made with RING_PACKED and without CTRL_VQ then have packed rings'),
  without: z.array(z.enum(['sf', 'split', 'umem-uid-0', 'virtio-1.0'])).default([]).describe('capabilities the function does not have'),
});

/** `ifcvf:probe:3=ENOMEM`: what is to fail on purpose. */
const faultRule = z.string().superRefine((text, ctx) => {
  try {
    parseFaultRule(text);
  } catch (error) {
    if (!(error instanceof FaultRuleError)) throw error;
    ctx.addIssue({ code: 'custom', message: error.message });
  }
});

/** What plain virtio functions have in common; names are QEMU's. */
const plain = {
  at: bdf,
  disable_legacy: z.boolean().optional().describe('without the legacy interface in I/O ports; when absent, true behind a root port'),
  disable_modern: z.boolean().optional().describe('without the modern interface'),
  iommu_platform: z.boolean().optional()
    .describe('DMA goes through the IOMMU; only without the legacy interface, where it is true when absent'),
  packed: z.boolean().optional().describe('VIRTIO_F_RING_PACKED is offered; drivers then take packed rings'),
  page_per_vq: z.boolean().optional().describe('a page for each doorbell, so that processes can map them'),
  modern_pio_notify: z.boolean().optional().describe('all doorbells in an I/O port of BAR 2 as well, which virtio drivers then take'),
  vectors: z.int().min(0).max(128).optional().describe('MSI-X vectors, 0 for none; when absent, one for each queue and one for the configuration'),
};

const virtioNet = z.strictObject({
  ...plain,
  model: z.literal('virtio-net'),
  queue_pairs: z.int().min(1).max(8).default(1),
  queue_size: z.int().min(16).max(1024).refine(powerOfTwo, 'a power of two').default(256),
  mtu: z.int().min(68).max(65535).optional().describe('bytes, offered to drivers; when absent, 1500 and not offered'),
  mac: mac.optional(),
  link: z.string().optional().describe('network the function is plugged into'),
  promisc: z.boolean().default(true).describe('false: receive what the driver asks for only'),
  mrg_rxbuf: z.boolean().default(true).describe('false: a frame must fit into one buffer'),
});

const virtioBlk = z.strictObject({
  ...plain,
  model: z.literal('virtio-blk'),
  capacity: size.refine((n) => n % 512 === 0, 'a multiple of 512').default(16 * 1024 ** 2),
  num_queues: z.int().min(1).max(16).default(1),
  queue_size: z.int().min(16).max(1024).refine(powerOfTwo, 'a power of two').default(256),
  serial: z.string().max(20).default(''),
  read_only: z.boolean().default(false),
});

const dump = z.string().superRefine((text, ctx) => {
  try {
    readDump(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    ctx.addIssue({ code: 'custom', message: error.message });
  }
}).describe('lines that lspci -x, -xxx or -xxxx printed');

const barSizes = z.record(z.string().regex(/^[0-5]$/, 'a BAR, 0 to 5'), size.refine(powerOfTwo, 'a power of two')).default({})
  .describe('bytes of each BAR, by its number; its kind is in the dump');

const generic = z.strictObject({
  at: bdf,
  model: z.literal('generic'),
  config: dump,
  bars: barSizes,
  rom: size.refine(powerOfTwo, 'a power of two').optional().describe('bytes of the expansion ROM'),
  vf: z.strictObject({ config: dump, bars: barSizes }).optional().describe('a virtual function, where the dump has SR-IOV'),
});

const ipv4 = z.string().regex(/^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/, 'an IPv4 address such as 10.0.0.1');

/** A host on a network that is no machine of the lab's. */
const responder = z.strictObject({
  name: z.string().min(1).default('responder'),
  mac: mac.default('52:54:00:00:00:fe'),
  ip: ipv4.default('10.0.0.1'),
  files: z.record(z.string().min(1), z.string()).default({})
    .describe('files it has: host files by name, their paths relative to the lab file'),
  capacity: size.default(64 * 1024 ** 2).describe('of all its files, those it is sent included'),
});

const network = z.strictObject({
  name: z.string().min(1),
  kind: z.enum(['switch', 'wire']).default('switch'),
  responders: z.array(responder).default([]).describe('hosts that answer ARP and ping, and give and take files by TFTP and HTTP'),
});

/** The whole lab file. */
export const labSchema = z.strictObject({
  name: z.string().default('lab'),
  seed: z.int().min(0).default(1).describe('chooses among what is ready; one seed and one script give one run'),
  kernel: z.enum(KERNEL_RELEASES).default('6.1').describe('whose behaviour where releases differ: a later one adds what the READMEs of modules say'),
  release: z.string().regex(/^[0-9A-Za-z._+-]+$/).optional().describe('uname -r; 6.1.0-vdpalab or 6.12.0-vdpalab when absent'),
  cmdline: z.string().default('').describe('kernel command line'),
  memory: size.default(256 * 1024 ** 2),
  iommu: z.boolean().default(true).describe('a platform IOMMU'),
  iommu_bits: z.union([z.literal(39), z.literal(48)]).default(39).describe('bits of the addresses that the IOMMU translates: 48 where a driver wants high ones'),
  pci: z.strictObject({
    root_ports: z.array(rootPort).default([]),
    functions: z.array(z.discriminatedUnion('model', [n3000, siov, connectx, virtioNet, virtioBlk, generic])).default([]),
  }).prefault({}),
  networks: z.array(network).default([]),
  'modprobe.d': z.record(z.string().regex(/^[^/]+\.conf$/, 'a name ending in .conf'), z.string()).default({})
    .describe('files of /etc/modprobe.d'),
  files: z.record(z.string().regex(/^\//, 'an absolute path in the lab'), z.string()).default({})
    .describe('files of the lab, by path: copies of host files, named relative to the lab file'),
  fail: z.array(faultRule).optional().describe('what fails on purpose: MODULE:WHAT[:N][=ERRNO]; an empty list lets rules be added while the lab runs'),
  programs: z.strictObject({
    without: z.array(z.string()).default([]).describe('programs the machine has not got'),
  }).prefault({}),
  modules: z.strictObject({
    only: z.array(z.string()).optional().describe('modules in the tree; all when absent'),
    without: z.array(z.string()).default([]).describe('modules left out of the tree'),
    extra: z.array(z.string()).default([]).describe('built packages outside the workspace, or folders of module files, by path'),
    out_of_tree: z.array(z.string()).optional().describe('modules built outside the kernel\'s tree: not marked intree, not in modules.order; by default what Debian leaves unset on a Debian release, and always packages of extra'),
    unsigned: z.array(z.string()).optional().describe('modules without a signature; those built outside when absent'),
  }).prefault({}),
}).superRefine((lab, ctx) => {
  if (ctx.issues.length > 0) return; // relations are judged once every value by itself is right
  const fail = (message: string, path: (string | number)[]) => ctx.addIssue({ code: 'custom', message, path });
  const networks = new Set(lab.networks.map((n) => n.name));
  const seen = new Set<string>();
  lab.pci.root_ports.forEach((port, i) => {
    if (!port.at.startsWith('00:')) fail(`root port ${port.at} is not on bus 00`, ['pci', 'root_ports', i, 'at']);
    if (seen.has(port.at)) fail(`${port.at} is taken`, ['pci', 'root_ports', i, 'at']);
    seen.add(port.at);
    if (port.bus + port.buses > 256) fail(`buses ${port.bus} to ${port.bus + port.buses - 1} pass 255`, ['pci', 'root_ports', i, 'buses']);
    lab.pci.root_ports.slice(0, i).forEach((other) => {
      if (port.bus < other.bus + other.buses && other.bus < port.bus + port.buses) {
        fail(`buses overlap those behind ${other.at}`, ['pci', 'root_ports', i, 'bus']);
      }
    });
  });
  lab.pci.functions.forEach((fn, i) => {
    const bus = Number.parseInt(fn.at.slice(0, 2), 16);
    if (seen.has(fn.at)) fail(`${fn.at} is taken`, ['pci', 'functions', i, 'at']);
    seen.add(fn.at);
    const port = lab.pci.root_ports.find((p) => p.bus === bus);
    if (bus !== 0 && port === undefined) fail(`no root port leads to bus ${fn.at.slice(0, 2)}`, ['pci', 'functions', i, 'at']);
    if ('link' in fn && fn.link !== undefined && !networks.has(fn.link)) fail(`no network is called ${fn.link}`, ['pci', 'functions', i, 'link']);
    if (fn.model === 'siov' || fn.model === 'connectx' || fn.model === 'generic') return;
    if (fn.model !== 'n3000') {
      const legacy = !(fn.disable_legacy ?? bus !== 0);
      if (!legacy && fn.disable_modern === true) fail('the modern interface is the only one left', ['pci', 'functions', i, 'disable_modern']);
      if (legacy && fn.iommu_platform === true) {
        fail('functions with the legacy interface reach memory past the IOMMU', ['pci', 'functions', i, 'iommu_platform']);
      }
      return;
    }
    const devfn = (Number.parseInt(fn.at.slice(3, 5), 16) << 3) | Number(fn.at.slice(6));
    const last = (bus << 8) + devfn + fn.sriov.offset + (fn.sriov.total - 1) * fn.sriov.stride;
    const end = port === undefined ? bus : port.bus + port.buses - 1;
    if (fn.sriov.total > 0 && last >> 8 > end) {
      fail(`${fn.sriov.total} virtual functions reach bus ${(last >> 8).toString(16)}, the port leads to ${end.toString(16)} at most: raise its "buses"`, ['pci', 'functions', i, 'sriov', 'total']);
    }
    for (const [n, vf] of Object.entries(fn.vfs)) {
      if (Number(n) >= fn.sriov.total) fail(`there are ${fn.sriov.total} virtual functions`, ['pci', 'functions', i, 'vfs', n]);
      if (vf.link !== undefined && !networks.has(vf.link)) fail(`no network is called ${vf.link}`, ['pci', 'functions', i, 'vfs', n, 'link']);
    }
  });
  lab.networks.forEach((net, i) => {
    if (lab.networks.findIndex((n) => n.name === net.name) !== i) fail(`${net.name} is named twice`, ['networks', i, 'name']);
    net.responders.forEach((one, j) => {
      const path = ['networks', i, 'responders', j];
      const earlier = net.responders.slice(0, j);
      if ([...lab.networks.slice(0, i).flatMap((n) => n.responders), ...earlier].some((other) => other.name === one.name)) {
        fail(`${one.name} is named twice`, [...path, 'name']);
      }
      for (const key of ['mac', 'ip'] as const) {
        if (earlier.some((other) => other[key] === one[key])) fail(`${one[key]} is taken`, [...path, key]);
      }
      if (net.kind === 'wire' && j > 1) fail('a wire has two ends', path);
    });
  });
}).transform((lab) => ({ ...lab, release: lab.release ?? `${lab.kernel}.0-vdpalab` }));

/** A checked lab file. */
export type LabConfig = z.output<typeof labSchema>;
/** A lab file as a person may write it. */
export type LabConfigInput = z.input<typeof labSchema>;
/** One N3000 physical function. */
export type N3000Config = z.output<typeof n3000>;

/** One thing wrong with a lab file. */
export interface LabFileIssue {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  readonly column: number;
  /** Keys to the value: `pci.functions[0].at`. */
  readonly path: string;
  readonly message: string;
}

/** A value that is wrong for a reason outside of the file. */
export interface LabFileProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Everything wrong with a lab file, one line each: `file:line:column: path: message`. */
export class LabFileError extends Error {
  readonly issues: readonly LabFileIssue[];
  constructor(issues: readonly LabFileIssue[]) {
    super(issues.map((i) => `${i.file}:${i.line}:${i.column}: ${i.path === '' ? '' : `${i.path}: `}${i.message}`).join('\n'));
    this.name = 'LabFileError';
    this.issues = issues;
  }
}

const pathText = (path: readonly PropertyKey[]) =>
  path.map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i > 0 ? '.' : ''}${String(key)}`)).join('');

/** Offset of the value at `path`, or of the nearest parent that exists; for unknown keys, of the key itself. */
function offsetOf(doc: Document, path: readonly PropertyKey[], unknownKey: string | undefined): number {
  for (let depth = path.length; depth >= 0; depth--) {
    const node = doc.getIn(path.slice(0, depth) as (string | number)[], true) as { range?: [number, number, number] } | undefined;
    if (depth === path.length && unknownKey !== undefined && isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && item.key.value === unknownKey);
      if (pair !== undefined && isScalar(pair.key) && pair.key.range) return pair.key.range[0];
    }
    if (node?.range !== undefined) return node.range[0];
  }
  return 0;
}

/** What is wrong with a value; of a union or a key, what its own rule says. */
function messageOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_key') return issue.issues[0]?.message ?? issue.message;
  if (issue.code !== 'invalid_union') return issue.message;
  if (issue.discriminator !== undefined) return issue.message;
  return issue.errors.flat().at(-1)?.message ?? issue.message;
}

/**
 * Read a lab file.
 *
 * @param file name for messages
 * @param others finds what is wrong with a file that is right in itself
 * @throws LabFileError with every issue found
 */
export function parseLabFile(text: string, file: string, others: (config: LabConfig) => readonly LabFileProblem[] = () => []): LabConfig {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines });
  const at = (offset: number, path: string, message: string): LabFileIssue => {
    const pos = lines.linePos(offset);
    return { file, line: pos.line, column: pos.col, path, message };
  };
  if (doc.errors.length > 0) {
    throw new LabFileError(doc.errors.map((e) => at(e.pos[0], '', e.message.split(' at line ')[0] as string)));
  }
  const parsed = labSchema.safeParse(doc.toJS() ?? {});
  if (parsed.success) {
    const problems = others(parsed.data);
    if (problems.length === 0) return parsed.data;
    throw new LabFileError(problems.map(({ path, message }) => at(offsetOf(doc, path, undefined), pathText(path), message)));
  }
  throw new LabFileError(parsed.error.issues.flatMap((issue) => {
    const unknown = issue.code === 'unrecognized_keys' ? issue.keys : [undefined];
    return unknown.map((key) => at(
      offsetOf(doc, issue.path, key),
      pathText(key === undefined ? issue.path : [...issue.path, key]),
      key === undefined ? messageOf(issue) : 'unknown key',
    ));
  }));
}

/** The lab file's JSON Schema, for editors. */
export function labJsonSchema(): Record<string, unknown> {
  return { title: 'vdpalab lab file', ...z.toJSONSchema(labSchema, { io: 'input', unrepresentable: 'any' }) };
}
