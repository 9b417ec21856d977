/** A driver of ConnectX functions for the model's tests: command queues in RAM, registers through BARs. */
import {
  MLX5_CMD_DATA_BLOCK_SIZE, MLX5_CMD_INLINE_SIZE, MLX5_CMD_OP_ALLOC_PD, MLX5_CMD_OP_ALLOC_SF, MLX5_CMD_OP_ALLOC_UAR, MLX5_CMD_OP_CREATE_EQ,
  MLX5_CMD_OP_ENABLE_HCA, MLX5_CMD_OP_INIT_HCA, MLX5_PCI_CMD_XPORT, CMD_OWNER_HW, PCI_CAP_ID_MSIX, PCI_CAPABILITY_LIST, PCI_COMMAND, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY, PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE,
  mlx5_cmd_in, mlx5_cmd_layout, mlx5_cmd_out, mlx5_cmd_prot_block, mlx5_create_eq_in, mlx5_eqe, mlx5_function_in, mlx5_init_seg, swab32,
} from '@vdpalab/uapi';
import { createMachine } from '../machine.ts';
import type { HwMachine } from '../machine.ts';
import { createPciHost } from '../pci/create.ts';
import type { PciSystem } from '../pci/create.ts';
import type { ConnectxFunctionConfig } from './config.ts';
import { ConnectxFunction } from './function.ts';
import { BAR_REGISTERS, BAR_SUBFUNCTIONS, SF_BASE_ID, WINDOW_SIZE } from './layout.ts';

const BLOCK_STRIDE = 1024;
const EVENTS = 64;

/** What the lab file would say. */
export function connectx(settings: Partial<ConnectxFunctionConfig> = {}): ConnectxFunctionConfig {
  return { at: '07:00.0', model: 'connectx', subfunctions: 4, vectors: 16, queue_pairs: 2, mtu: 9000, mac: '02:00:00:00:01:00', link: 'lan', ...settings };
}

/** A machine with one ConnectX. */
export class Bench {
  readonly hw: HwMachine;
  readonly system: PciSystem;
  readonly fn: ConnectxFunction;
  readonly pf: Driver;
  private free = 0x10_0000;

  constructor(config = connectx(), iommu = false) {
    this.hw = createMachine({ seed: 1, ramBytes: 64 << 20, iommu, cmdline: '', release: '6.1.0', consoleSink: () => undefined });
    this.system = createPciHost(this.hw, {
      root_ports: [{ at: '00:01.0', bus: 7, buses: 1, acs: true }], functions: [config],
    }, [{ name: 'lan', kind: 'switch' }]);
    const fn = this.system.find(config.at);
    if (!(fn instanceof ConnectxFunction)) throw new Error('no ConnectX there');
    this.fn = fn;
    fn.config.write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    this.pf = new Driver(this, BAR_REGISTERS, 0);
  }

  /** Physical memory of one's own, a page at least. */
  alloc(bytes: number): number {
    const at = this.free;
    this.free += Math.ceil(bytes / 4096) * 4096;
    return at;
  }

  /** Bytes of RAM, shared. */
  ram(at: number, length: number): Uint8Array {
    const region = this.hw.ram.find(at, length)!; // below the end of RAM
    return region.u8.subarray(at - region.base, at - region.base + length);
  }

  /** Switch MSI-X on with all vectors masked, so that {@link vectors} shows which fire. */
  msixOn(): undefined {
    const { config } = this.fn;
    for (let at = config.read(PCI_CAPABILITY_LIST, 1); at !== 0; at = config.read(at + 1, 1)) {
      if (config.read(at, 1) === PCI_CAP_ID_MSIX) config.write(at + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
    }
  }

  /** Vectors that have fired. */
  vectors(): number[] {
    const { msix } = this.fn;
    return Array.from({ length: msix!.count }, (_, v) => v).filter((v) => msix!.isPending(v)); // it has vectors
  }

  /** A subfunction, enabled by the physical function; its driver has not begun. */
  async subfunction(n: number): Promise<Driver> {
    await this.pf.run(mlx5_function_in.make({ opcode: MLX5_CMD_OP_ALLOC_SF, function_id: SF_BASE_ID + n }));
    await this.pf.run(mlx5_function_in.make({ opcode: MLX5_CMD_OP_ENABLE_HCA, function_id: SF_BASE_ID + n }));
    return new Driver(this, BAR_SUBFUNCTIONS, n * WINDOW_SIZE);
  }
}

/** What a command answered. */
export interface Answer {
  readonly delivery: number;
  readonly status: number;
  readonly syndrome: number;
  readonly out: Uint8Array;
}

/** A function's driver. */
export class Driver {
  readonly bench: Bench;
  private readonly bar: number;
  private readonly base: number;
  private readonly queue: number;
  private readonly blocks: number;
  private events = 0;
  private seen = 0;

  constructor(bench: Bench, bar: number, base: number) {
    this.bench = bench;
    this.bar = bar;
    this.base = base;
    this.queue = bench.alloc(4096);
    this.blocks = bench.alloc(64 * BLOCK_STRIDE);
    this.write('cmdq_addr_h', 0);
    this.write('cmdq_addr_l_sz', this.queue);
  }

  read(field: keyof typeof mlx5_init_seg.fields): number {
    return swab32(this.bench.fn.readBar(this.bar, this.base + mlx5_init_seg.offsetof(field), 4));
  }

  write(field: keyof typeof mlx5_init_seg.fields, value: number): undefined {
    return this.poke(mlx5_init_seg.offsetof(field), swab32(value >>> 0));
  }

  /** A write of 32 bits, or of fewer, as the CPU makes it. */
  poke(offset: number, value: number, size: 1 | 2 | 4 = 4): undefined {
    return this.bench.fn.writeBar(this.bar, this.base + offset, size, value);
  }

  /** Describe a command in an entry and its blocks. @returns where its output's blocks begin */
  describe(n: number, input: Uint8Array, outlen: number, entry: Partial<Record<'type' | 'inlen' | 'token', number>> = {}): number {
    const inBlocks = this.chain(0, input.length, 7, input);
    const outBlocks = this.chain(32, outlen, 7);
    const bytes = mlx5_cmd_layout.make({
      type: MLX5_PCI_CMD_XPORT, inlen: input.length, in_ptr: BigInt(inBlocks), out_ptr: BigInt(outBlocks), outlen, token: 7, status_own: CMD_OWNER_HW, ...entry,
    });
    bytes.set(input.subarray(0, MLX5_CMD_INLINE_SIZE), mlx5_cmd_layout.offsetof('in'));
    this.bench.ram(this.queue + 64 * n, 64).set(bytes);
    return outBlocks;
  }

  /** The bytes of an entry of the command queue. */
  entry(n: number): Uint8Array {
    return this.bench.ram(this.queue + 64 * n, mlx5_cmd_layout.size);
  }

  /** The bytes of block `i`: an input's from 0, an output's from 32. */
  block(i: number): Uint8Array {
    return this.bench.ram(this.blocks + i * BLOCK_STRIDE, mlx5_cmd_prot_block.size);
  }

  /** Ring for an entry, and wait. */
  async ring(n: number, outBlocks: number, outlen: number): Promise<Answer> {
    this.write('cmd_dbell', 1 << n);
    await this.bench.hw.sched.run();
    const entry = this.bench.ram(this.queue + 64 * n, 64).slice();
    const out = new Uint8Array(outlen);
    const at = mlx5_cmd_layout.offsetof('out');
    out.set(entry.subarray(at, at + Math.min(outlen, MLX5_CMD_INLINE_SIZE)));
    for (let done = MLX5_CMD_INLINE_SIZE, i = 0; done < outlen; done += MLX5_CMD_DATA_BLOCK_SIZE, i++) {
      out.set(this.bench.ram(outBlocks + i * BLOCK_STRIDE, Math.min(MLX5_CMD_DATA_BLOCK_SIZE, outlen - done)), done);
    }
    return {
      delivery: mlx5_cmd_layout.get(entry, 'status_own'), status: mlx5_cmd_out.get(out, 'status'), syndrome: mlx5_cmd_out.get(out, 'syndrome'), out,
    };
  }

  /** Carry a command out, whatever it answers. */
  async exec(input: Uint8Array, outlen = 16): Promise<Answer> {
    return await this.ring(0, this.describe(0, input, outlen), outlen);
  }

  /** Carry a command out that is fine. @returns its output */
  async run(input: Uint8Array, outlen = 16): Promise<Uint8Array> {
    const { delivery, status, syndrome, out } = await this.exec(input, outlen);
    if (delivery !== 0 || status !== 0) throw new Error(`delivery ${delivery}, status ${status}, syndrome 0x${syndrome.toString(16)}`);
    return out;
  }

  /** A command that is only a head. @returns the number in its answer */
  async head(opcode: number, number = 0): Promise<number> {
    return mlx5_cmd_out.get(await this.run(mlx5_cmd_in.make({ opcode, number })), 'number');
  }

  /** ENABLE_HCA and INIT_HCA. */
  async start(): Promise<this> {
    await this.head(MLX5_CMD_OP_ENABLE_HCA);
    await this.head(MLX5_CMD_OP_INIT_HCA);
    return this;
  }

  async pd(): Promise<number> {
    return await this.head(MLX5_CMD_OP_ALLOC_PD);
  }

  /** An event queue of 64 entries that takes these types. @returns its number and its doorbell page */
  async eventQueue(mask: bigint, vector = 0): Promise<{ eqn: number; uar: number }> {
    const uar = await this.head(MLX5_CMD_OP_ALLOC_UAR);
    this.events = this.bench.alloc(4096);
    this.seen = 0;
    for (let i = 0; i < EVENTS; i++) mlx5_eqe.set(this.bench.ram(this.events, 4096), 'owner', 1, i * mlx5_eqe.size);
    const input = mlx5_create_eq_in.make({ opcode: MLX5_CMD_OP_CREATE_EQ, log_eq_size: 6, intr: vector, uar_page: uar, event_bitmask: mask }, 8);
    new DataView(input.buffer).setBigUint64(mlx5_create_eq_in.size, BigInt(this.events));
    return { eqn: mlx5_cmd_out.get(await this.run(input), 'number'), uar };
  }

  /** Say how far events were read. @param arm ask for an interrupt at the next */
  consume(uar: number, eqn: number, index: number, arm = true): undefined {
    return this.poke(uar * 4096 + (arm ? 0x40 : 0x48), swab32(((eqn << 24) | index) >>> 0));
  }

  /** Events that came since the last call. */
  take(): Uint8Array[] {
    const list: Uint8Array[] = [];
    for (;;) {
      const entry = this.bench.ram(this.events + (this.seen % EVENTS) * mlx5_eqe.size, mlx5_eqe.size).slice();
      if (mlx5_eqe.get(entry, 'owner') !== ((this.seen / EVENTS) & 1)) return list;
      list.push(entry);
      this.seen++;
    }
  }

  private chain(first: number, length: number, token: number, bytes?: Uint8Array): number {
    const count = Math.ceil(Math.max(0, length - MLX5_CMD_INLINE_SIZE) / MLX5_CMD_DATA_BLOCK_SIZE);
    for (let i = 0; i < count; i++) {
      const block = this.bench.ram(this.blocks + (first + i) * BLOCK_STRIDE, mlx5_cmd_prot_block.size);
      block.fill(0);
      mlx5_cmd_prot_block.set(block, 'token', token);
      mlx5_cmd_prot_block.set(block, 'block_num', i);
      if (i + 1 < count) mlx5_cmd_prot_block.set(block, 'next', BigInt(this.blocks + (first + i + 1) * BLOCK_STRIDE));
      const at = MLX5_CMD_INLINE_SIZE + i * MLX5_CMD_DATA_BLOCK_SIZE;
      if (bytes !== undefined) block.set(bytes.subarray(at, at + MLX5_CMD_DATA_BLOCK_SIZE));
    }
    return this.blocks + first * BLOCK_STRIDE;
  }
}
