/** Sockets and devices of one process, by commands. @see DPDK examples/vdpa/main.c */
import type { Lab, UserProcess } from '@vdpalab/lab';
import { IfcDriver } from '../ifc/driver.ts';
import { isPciAddress, parseArguments } from '../ifc/probe.ts';
import { refuse } from '../refuse.ts';
import type { RteVdpaDevOps } from '../rte_vdpa/ops.ts';
import { VdpaRegistry, type RteVdpaDevice } from '../rte_vdpa/registry.ts';
import { RteVhost, type VhostOptions } from '../vhost/library.ts';
import { VhostVdpaDriver } from '../vhost-vdpa/driver.ts';

/** A driver of one device. */
export interface ProbedDriver {
  readonly name: string;
  readonly ops: RteVdpaDevOps;
  readonly close: () => Promise<void>;
}

/** What is served now. */
interface Port {
  readonly path: string;
  readonly device: RteVdpaDevice;
  readonly driver: ProbedDriver;
}

/** The application. Everything runs in tasks of its process. */
export class VdpaApp {
  readonly vhost: RteVhost;
  readonly registry = new VdpaRegistry();
  readonly #p: UserProcess;
  readonly #ports: Port[] = [];
  readonly #log: (text: string) => void;

  constructor(lab: Lab, p: UserProcess, options: VhostOptions = {}) {
    this.#p = p;
    this.#log = options.log ?? ((): void => undefined);
    this.vhost = new RteVhost(lab, p, options);
  }

  /**
   * Put a device behind a socket.
   *
   * @param spec name of a vDPA device, or address of a PCI function with `vdpa=1` behind it
   * @throws ENODEV when there is no such device; EBUSY when it serves a socket; what the host says about the path
   */
  async create(path: string, spec: string): Promise<void> {
    const { vhost, registry } = this;
    const driver = await this.#probe(spec);
    const device = registry.rte_vdpa_register_device(driver.name, driver.ops);
    try {
      if (device === null) throw refuse('device.register', `${spec} cannot be registered`);
      vhost.rte_vhost_driver_register(path);
    } catch (error) {
      if (device !== null) registry.rte_vdpa_unregister_device(device);
      await driver.close();
      throw error;
    }
    this.#ports.push({ path, device, driver });
    try {
      vhost.rte_vhost_driver_attach_vdpa_device(path, device);
      vhost.rte_vhost_driver_start(path);
    } catch (error) {
      await this.destroy(path);
      throw error;
    }
  }

  async #probe(spec: string): Promise<ProbedDriver> {
    const serves = (name: string): boolean => this.registry.rte_vdpa_find_device_by_name(name) !== null;
    if (!isPciAddress(spec)) {
      if (serves(spec)) throw refuse('device.attached', `${spec} serves another socket`, 'EBUSY');
      return await VhostVdpaDriver.probe(this.vhost, spec);
    }
    const args = parseArguments(spec);
    if (serves(args.bdf)) throw refuse('device.attached', `${args.bdf} serves another socket`, 'EBUSY');
    const driver = await IfcDriver.probe(this.vhost, args, this.#log);
    if (driver === null) throw refuse('ifc.gate', `${args.bdf} without vdpa=1 is a virtio driver's`, 'ENODEV');
    return driver;
  }

  /** Take a socket down, and give its device back. */
  async destroy(path: string): Promise<void> {
    const at = this.#ports.findIndex((port) => port.path === path);
    const [port] = at < 0 ? [] : this.#ports.splice(at, 1);
    if (port === undefined) throw refuse('socket.unknown', `${path} is not served`, 'ENOENT');
    await this.vhost.rte_vhost_driver_unregister(path);
    this.registry.rte_vdpa_unregister_device(port.device);
    await port.driver.close();
  }

  /** One line for each device that could be served or is: its name, queue pairs, features, and its socket. */
  async list(): Promise<string[]> {
    const lines = this.#ports.map(({ device, path }) => `${device.name}\t${device.ops.get_queue_num()}\t0x${device.ops.get_features().toString(16)}\t${path}`);
    const names = (await this.#p.readdir('/sys/bus/vdpa/devices').catch(() => [])).map((e) => e.name);
    for (const name of names.filter((n) => this.registry.rte_vdpa_find_device_by_name(n) === null)) lines.push(`${name}\t-\t-\t-`);
    return lines;
  }

  /**
   * What a device's queues have counted.
   *
   * @throws ENODEV when it serves no socket; EOPNOTSUPP when its driver counts nothing
   */
  stats(name: string, queue: number): string[] {
    const device = this.registry.rte_vdpa_find_device_by_name(name);
    if (device === null) throw refuse('device.unknown', `${name} serves no socket`, 'ENODEV');
    return this.registry.rte_vdpa_get_stats(device, queue).map((stat) => `${stat.name}\t${stat.value}`);
  }

  /** Serve until {@link quit}; in a task of its own. */
  async run(): Promise<void> {
    await this.vhost.run();
    for (const { driver } of this.#ports.splice(0)) await driver.close();
  }

  /** Disconnect all, and let {@link run} return. From anywhere. */
  quit(): void {
    this.vhost.close();
  }
}
