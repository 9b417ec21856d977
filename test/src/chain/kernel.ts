/** A machine with an N3000 on a switch, a kernel with everything from the PCI bus to virtio, and what a shell would do there. */
import { isKernelError } from '@vdpalab/abi';
import type { KernelSymbols, LogLine } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import { createMachine, createPciHost, EthernetSwitch, InjectionPort, N3000Vf } from '@vdpalab/machine';
import type { HwMachine, PciSystem } from '@vdpalab/machine';
import { bootBuiltins } from '@vdpalab/testing';
import type { BootedKernel, BootOptions } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';

/** The physical function and its first virtual one. */
export const PF = '0000:07:00.0';
export const VF = '0000:07:00.1';

/** The built-ins, then the modules in the order modprobe loads them. */
const builtins = ['sched', 'mm', 'fs', 'driver-core', 'irq', 'iommu', 'pci', 'netlink'];
const modules = ['pci-pf-stub', 'vdpa-core', 'ifcvf', 'virtio-ring', 'virtio', 'virtio-vdpa'];

/** What differs from the usual machine. */
export interface ChainOptions extends Pick<BootOptions, 'seed' | 'wrap'> {
  /** False: no IOMMU. */
  readonly iommu?: boolean;
  readonly queuePairs?: number;
  readonly queueSize?: number;
  readonly mtu?: number;
  /** Interrupt vectors of the machine; plenty when absent. */
  readonly vectors?: number;
  readonly ramBytes?: number;
  /** Modules after the bus drivers, by folder. */
  readonly more?: readonly string[];
  /** Built-ins after the usual ones, by folder. */
  readonly moreBuiltins?: readonly string[];
}

/** The kernel, its machine and a port on its switch. */
export interface ChainKernel extends BootedKernel {
  readonly hw: HwMachine;
  readonly system: PciSystem;
  /** A port of the switch that the test holds. */
  readonly outside: InjectionPort;
  /** Log lines since the last call. */
  readonly dmesg: () => string[];
  /** Uevents since the last call. */
  readonly uevents: () => string[];
  /** The first virtual function's hardware. */
  readonly vf: () => N3000Vf;
  readonly cat: (path: string) => Promise<string>;
  readonly ls: (path: string) => Promise<string[]>;
  readonly readlink: (path: string) => Promise<string>;
  /** @returns the errno's name, or 'ok' */
  readonly echo: (text: string, path: string) => Promise<string>;
  /** `vdpa dev add name NAME mgmtdev pci/BDF [device_features N]`. @returns the errno, negative; 0 */
  readonly devAdd: (name: string, bdf?: string, features?: bigint) => Promise<number>;
  /** `vdpa dev del NAME` */
  readonly devDel: (name: string) => Promise<number>;
  /** pci-pf-stub takes the physical function and makes virtual ones. */
  readonly sriov: (count: number) => Promise<void>;
}

/** Boot. */
export async function bootChain(options: ChainOptions = {}): Promise<ChainKernel> {
  const log: LogLine[] = [];
  const hw = createMachine({
    seed: options.seed ?? 1, ramBytes: options.ramBytes ?? 32 << 20, iommu: options.iommu ?? true, cmdline: '', release: '6.1.0',
    consoleSink: (line): undefined => void log.push(line),
    ...(options.vectors === undefined ? {} : { vectors: options.vectors }),
  });
  const system = createPciHost(hw, {
    root_ports: [{ at: '00:01.0', bus: 7, buses: 1, acs: true }],
    functions: [{
      at: '07:00.0', model: 'n3000', ids: {}, sriov: { total: 4, offset: 1, stride: 1 }, queue_pairs: options.queuePairs ?? 1,
      queue_size: options.queueSize ?? 256, mtu: options.mtu ?? 1500, mac: '52:54:00:00:00:10', link: 'sw0', vfs: {},
    }],
  }, [{ name: 'sw0', kind: 'switch' }]);
  const sw0 = system.networks.get('sw0');
  if (!(sw0 instanceof EthernetSwitch)) throw new Error('sw0 is no switch');
  const outside = new InjectionPort(sw0.attach('outside'));
  const kernel = await bootBuiltins([...builtins, ...options.moreBuiltins ?? [], ...modules, ...options.more ?? []], {
    machine: hw.machine, ...(options.wrap === undefined ? {} : { wrap: options.wrap }),
  });
  const events: string[] = [];
  kernel.k.uevent_listen(({ action, devpath }): undefined => void events.push(`${action}@${devpath}`));
  const { k } = kernel;
  const as = <T>(body: (proc: Process) => Promise<T>): Promise<T> => kernel.user((proc) => body(proc));
  const echo = (text: string, path: string): Promise<string> => as((proc) => write(k, proc, path, text));
  const vdpa = (cmd: number, fill: (b: uapi.NlaBuilder) => void): Promise<number> => as((proc) => request(k, proc, cmd, fill));

  return {
    ...kernel, hw, system, outside, echo,
    dmesg: () => log.splice(0).map(({ text }) => text),
    uevents: () => events.splice(0),
    vf() {
      const fn = system.find('07:00.1');
      if (!(fn instanceof N3000Vf)) throw new Error('there is no virtual function');
      return fn;
    },
    cat: (path) => as(async (proc) => {
      const fd = await k.ksys_open(proc, path, uapi.O_RDONLY);
      const text = String.fromCharCode(...await k.ksys_read(proc, fd, 4096));
      await k.ksys_close(proc, fd);
      return text;
    }),
    ls: (path) => as(async (proc) => (await k.ksys_readdir(proc, path)).map(({ name }) => name).toSorted()),
    readlink: (path) => as((proc) => k.ksys_readlink(proc, path)),
    devAdd: (name, bdf = VF, features) => vdpa(uapi.VDPA_CMD_DEV_NEW, (b) => {
      b.putString(uapi.VDPA_ATTR_DEV_NAME, name);
      b.putString(uapi.VDPA_ATTR_MGMTDEV_BUS_NAME, 'pci');
      b.putString(uapi.VDPA_ATTR_MGMTDEV_DEV_NAME, bdf);
      if (features !== undefined) b.putU64(uapi.VDPA_ATTR_DEV_FEATURES, features, uapi.VDPA_ATTR_PAD);
    }),
    devDel: (name) => vdpa(uapi.VDPA_CMD_DEV_DEL, (b) => b.putString(uapi.VDPA_ATTR_DEV_NAME, name)),
    async sriov(count) {
      const dir = `/sys/bus/pci/devices/${PF}`;
      const steps = [
        await echo('pci-pf-stub\n', `${dir}/driver_override`), await echo(`${PF}\n`, '/sys/bus/pci/drivers_probe'),
        await echo(`${count}\n`, `${dir}/sriov_numvfs`),
      ];
      if (steps.some((errno) => errno !== 'ok')) throw new Error(`sriov: ${steps.join(', ')}`);
    },
  };
}

async function write(k: KernelSymbols, proc: Process, path: string, text: string): Promise<string> {
  try {
    const fd = await k.ksys_open(proc, path, uapi.O_WRONLY);
    try {
      await k.ksys_write(proc, fd, Uint8Array.from(text, (c) => c.charCodeAt(0)));
    } finally {
      await k.ksys_close(proc, fd);
    }
    return 'ok';
  } catch (error) {
    if (!isKernelError(error)) throw error;
    return error.errno;
  }
}

/** One request of the vdpa family, acknowledged. @returns the errno, negative; 0 */
async function request(k: KernelSymbols, proc: Process, cmd: number, fill: (b: uapi.NlaBuilder) => void): Promise<number> {
  const fd = await k.ksys_socket(proc, uapi.AF_NETLINK, uapi.SOCK_RAW, uapi.NETLINK_GENERIC);
  const exchange = async (type: number, flags: number, payload: uapi.NlaBuilder): Promise<Uint8Array> => {
    const body = payload.bytes();
    const bytes = new Uint8Array(uapi.NLMSG_HDRLEN + body.length);
    bytes.set(uapi.nlmsghdr.encode({ nlmsg_len: bytes.length, nlmsg_type: type, nlmsg_flags: uapi.NLM_F_REQUEST | flags, nlmsg_seq: 1 }));
    bytes.set(body, uapi.NLMSG_HDRLEN);
    await k.ksys_sendmsg(proc, fd, bytes, uapi.sockaddr_nl.encode({ nl_family: uapi.AF_NETLINK }));
    return (await k.ksys_recvmsg(proc, fd, 32_768, uapi.MSG_DONTWAIT)).bytes.subarray(uapi.NLMSG_HDRLEN);
  };
  const message = (command: number, build: (b: uapi.NlaBuilder) => void): uapi.NlaBuilder => {
    const builder = new uapi.NlaBuilder();
    builder.raw(uapi.genlmsghdr.encode({ cmd: command, version: 1 }));
    build(builder);
    return builder;
  };
  const found = await exchange(uapi.GENL_ID_CTRL, 0, message(uapi.CTRL_CMD_GETFAMILY, (b) => b.putString(uapi.CTRL_ATTR_FAMILY_NAME, 'vdpa')));
  const family = new uapi.NlaTable(uapi.nlaList(found.subarray(uapi.GENL_HDRLEN)).attrs).u16(uapi.CTRL_ATTR_FAMILY_ID);
  const ack = await exchange(family, uapi.NLM_F_ACK, message(cmd, fill));
  await k.ksys_close(proc, fd);
  return uapi.nlmsgerr.decode(ack).error;
}
