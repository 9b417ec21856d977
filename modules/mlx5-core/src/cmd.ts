/** The command interface of a function. Mirrors `cmd.c` (Linux 6.1). */
import { isKernelError, KernelError, UndoStack, withUndo } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { WaitQueue } from '@vdpalab/sched';
import {
  CMD_OWNER_HW, ERRNO, MLX5_CMD_OP_DESTROY_MKEY, MLX5_PCI_CMD_XPORT, mlx5_cmd_in, mlx5_cmd_layout, mlx5_cmd_out,
} from '@vdpalab/uapi';
import { CmdMessage } from './cmd-message.ts';
import { cmdStatus, commandName, deliveryStatus, succeedsWithoutDevice } from './cmd-status.ts';
import type { CoreDev } from './core-dev.ts';
import { DmaPool } from './dma-pool.ts';

/** Revision of the interface that the driver speaks. */
const CMD_IF_REV = 5;
/** Nanoseconds until a command is given up. */
const TIMEOUT_NS = 60e9;
/** Looks at an entry before the poller sleeps between them. */
const SPINS = 64;
const PAGE_SIZE = 4096;

/** An entry of the queue while a command is in it. */
interface Entry {
  done: boolean;
  /** Given up: the device may still write to its memory, which is freed when the device says that it is done, or at the end. */
  lost: (() => void) | null;
}

/** `struct mlx5_cmd`: up to 32 commands at once; they are polled for, or the device tells by an event. */
export class CommandInterface {
  readonly #dev: CoreDev;
  readonly #own: DmaPool;
  readonly #wait: WaitQueue;
  /** By number. */
  readonly #entries: (Entry | null)[] = [];
  #undo = new UndoStack();
  #queue: Uint8Array = new Uint8Array(0);
  #stride = 0;
  #token = 0;
  #mode: 'polling' | 'events' = 'polling';
  #up = false;

  constructor(dev: CoreDev) {
    this.#dev = dev;
    this.#own = new DmaPool(dev.k, dev.pdev.dev);
    this.#wait = dev.k.init_waitqueue_head(`mlx5_cmd_${dev.device.name}`);
  }

  /** Mailboxes; subfunctions take those of their parent, whose requester id their DMA has. */
  get pool(): DmaPool {
    return this.#dev.parent?.cmd.pool ?? this.#own;
  }

  /** Whether it is usable: `MLX5_CMDIF_STATE_UP`. */
  get up(): boolean {
    return this.#up;
  }

  /**
   * Give the device its queue.
   *
   * @throws EINVAL for another revision of the interface; ENOMEM
   * @see `mlx5_cmd_init`
   */
  async start(): Promise<void> {
    const { k, pdev } = this.#dev;
    const rev = this.#dev.readIseg('cmdif_rev_fw_sub') >>> 16;
    if (rev !== CMD_IF_REV) {
      this.#dev.err(`Driver cmdif rev(${CMD_IF_REV}) differs from firmware's(${rev})`);
      throw new KernelError('EINVAL', 'mlx5.cmd.revision', `${this.#dev.device.name}: command interface ${rev} of ${CMD_IF_REV}`);
    }
    const sizes = this.#dev.readIseg('cmdq_addr_l_sz') & 0xff;
    const [logSize, logStride] = [sizes >>> 4, sizes & 0xf];
    await withUndo(this.#undo, async () => {
      const mem = k.dma_alloc_coherent(pdev.dev, PAGE_SIZE);
      this.#undo.push('command queue', () => void k.dma_free_coherent(pdev.dev, mem));
      this.#undo.push('mailboxes', () => this.#own.destroy());
      this.#queue = k.phys_view(mem.run.pa, PAGE_SIZE);
      this.#stride = 2 ** logStride;
      this.#entries.length = 0;
      for (let n = 0; n < 2 ** logSize; n++) this.#entries.push(null);
      this.#dev.writeIseg('cmdq_addr_h', Math.floor(mem.dma / 2 ** 32));
      this.#dev.writeIseg('cmdq_addr_l_sz', mem.dma % 2 ** 32);
      this.#mode = 'polling';
      this.#up = true;
      this.#undo.push('state', () => void (this.#up = false));
    });
  }

  /** @see `mlx5_cmd_cleanup` */
  async stop(): Promise<void> {
    await this.#undo.run();
  }

  /** From now on the device tells when a command is done. @see `mlx5_cmd_use_events` */
  async useEvents(): Promise<void> {
    await this.#switch('events');
  }

  /** @see `mlx5_cmd_use_polling` */
  async usePolling(): Promise<void> {
    await this.#switch('polling');
  }

  /** Commands are done; atomic. @param vector a bit for each @see `mlx5_cmd_comp_handler` */
  complete(vector: number): Atomic {
    for (const [n, entry] of this.#entries.entries()) {
      if ((vector & (1 << n)) === 0 || entry === null) continue;
      entry.done = true;
      if (entry.lost === null) continue;
      this.#dev.err(`Command completion arrived after timeout (entry idx = ${n}).`);
      entry.lost();
    }
    return this.#dev.k.wake_up(this.#wait);
  }

  /**
   * Run a command.
   *
   * @throws what `cmdStatus` makes of its status; ETIMEDOUT; ENXIO while the interface is down
   * @see `mlx5_cmd_exec`, `mlx5_cmd_check`
   */
  async exec(input: Uint8Array, outlen: number): Promise<Uint8Array> {
    const opcode = mlx5_cmd_in.get(input, 'opcode');
    if (!this.#up || this.#dev.internalError) return this.#withoutDevice(opcode, outlen);
    const n = await this.#take();
    const out = await this.#run(n, input, outlen);
    this.#check(input, opcode, out);
    return out;
  }

  /** Run a command that gives something up: what the firmware refuses is in the log, and nothing can be done about it. @returns null then */
  async undo(input: Uint8Array, outlen: number): Promise<Uint8Array | null> {
    try {
      return await this.exec(input, outlen);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      return null;
    }
  }

  async #run(n: number, input: Uint8Array, outlen: number): Promise<Uint8Array> {
    const token = this.#nextToken();
    const messages: CmdMessage[] = [];
    const release = (): void => {
      for (const message of messages) message.free();
      this.#entries[n] = null;
      this.#dev.k.wake_up(this.#wait);
    };
    try {
      for (const len of [input.length, outlen]) messages.push(new CmdMessage(this.pool, len, token));
      const [from, to] = messages as [CmdMessage, CmdMessage];
      const bytes = this.#queue.subarray(n * this.#stride, (n + 1) * this.#stride);
      this.#fill(bytes, from, to, input, token);
      this.#dev.writeIseg('cmd_dbell', 2 ** n);
      if (!await this.#finish(n, bytes)) {
        this.#entries[n]!.lost = release; // taken
        throw this.#timeout(mlx5_cmd_in.get(input, 'opcode'));
      }
      const failed = deliveryStatus(mlx5_cmd_layout.get(bytes, 'status_own') >>> 1);
      if (failed !== null) throw new KernelError(failed[1], 'mlx5.cmd.delivery', `${commandName(mlx5_cmd_in.get(input, 'opcode'))}: ${failed[0]}`);
      return to.read(bytes.subarray(mlx5_cmd_layout.offsetof('out')));
    } finally {
      if (this.#entries[n]?.lost === null) release();
    }
  }

  #fill(entry: Uint8Array, from: CmdMessage, to: CmdMessage, input: Uint8Array, token: number): void {
    entry.fill(0);
    from.write(input, entry.subarray(mlx5_cmd_layout.offsetof('in'), mlx5_cmd_layout.offsetof('out')));
    mlx5_cmd_layout.set(entry, 'type', MLX5_PCI_CMD_XPORT);
    mlx5_cmd_layout.set(entry, 'inlen', from.len);
    mlx5_cmd_layout.set(entry, 'in_ptr', from.dma);
    mlx5_cmd_layout.set(entry, 'outlen', to.len);
    mlx5_cmd_layout.set(entry, 'out_ptr', to.dma);
    mlx5_cmd_layout.set(entry, 'token', token);
    mlx5_cmd_layout.set(entry, 'status_own', CMD_OWNER_HW);
  }

  /** Wait until the device has given the entry back. @returns false when it did not in time */
  async #finish(n: number, bytes: Uint8Array): Promise<boolean> {
    const { k } = this.#dev;
    if (this.#mode === 'events') {
      const entry = this.#entries[n]!; // taken
      return await k.wait_event_timeout(this.#wait, () => entry.done, 'command of the device', TIMEOUT_NS);
    }
    const until = k.ktime_get() + TIMEOUT_NS;
    for (let spins = 0; (mlx5_cmd_layout.get(bytes, 'status_own') & CMD_OWNER_HW) !== 0; spins++) {
      if (k.ktime_get() > until) return false;
      await (spins < SPINS ? k.cpu_relax() : k.msleep(1));
    }
    return true;
  }

  #timeout(opcode: number): KernelError {
    const what = `${commandName(opcode)}(0x${opcode.toString(16)})`;
    this.#dev.warn(`${what} timeout. Will cause a leak of a command resource`);
    this.#dev.health.check();
    return new KernelError('ETIMEDOUT', 'mlx5.cmd.timeout', `${this.#dev.device.name}: ${what}: no answer for ${TIMEOUT_NS / 1e9} s`);
  }

  #check(input: Uint8Array, opcode: number, out: Uint8Array): void {
    const status = mlx5_cmd_out.get(out, 'status');
    if (status === 0) return;
    const [text, errno] = cmdStatus(status);
    const opMod = mlx5_cmd_in.get(input, 'op_mod');
    const error = new KernelError(errno, 'mlx5.cmd.status', `${commandName(opcode)}(0x${opcode.toString(16)}) op_mod(0x${opMod.toString(16)}) failed, status ${text}(0x${status.toString(16)}), `
      + `syndrome (0x${mlx5_cmd_out.get(out, 'syndrome').toString(16)}), err(${-ERRNO[errno]})`);
    if (mlx5_cmd_in.get(input, 'uid') === 0 && opcode !== MLX5_CMD_OP_DESTROY_MKEY) this.#dev.err(error.message);
    throw error;
  }

  #withoutDevice(opcode: number, outlen: number): Uint8Array {
    if (succeedsWithoutDevice(opcode)) return new Uint8Array(outlen);
    throw new KernelError('ENXIO', 'mlx5.cmd.down', `${this.#dev.device.name}: ${commandName(opcode)}: the command interface is down`);
  }

  async #take(): Promise<number> {
    for (;;) {
      const n = this.#entries.indexOf(null);
      if (n >= 0) {
        this.#entries[n] = { done: false, lost: null };
        return n;
      }
      await this.#dev.k.wait_event(this.#wait, () => this.#entries.includes(null), 'an entry of the command queue');
    }
  }

  /** Change how commands end, with none under way. */
  async #switch(mode: 'polling' | 'events'): Promise<void> {
    await this.#dev.k.wait_event(this.#wait, () => this.#entries.every((entry) => entry === null || entry.lost !== null), 'commands of the device');
    this.#mode = mode;
  }

  #nextToken(): number {
    this.#token = (this.#token % 255) + 1;
    return this.#token;
  }
}
