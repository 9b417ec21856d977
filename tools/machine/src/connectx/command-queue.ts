/** A function's command queue: 32 entries in a page of host memory, and a doorbell with a bit for each. */
import type { AtomicWork } from '@vdpalab/abi';
import {
  CMD_OWNER_HW, mlx5_cmd_in, mlx5_cmd_layout, mlx5_cmd_out,
} from '@vdpalab/uapi';
import type { DmaPort } from '../dma.ts';
import type { HwMachine } from '../machine.ts';
import { LOG_COMMANDS, LOG_COMMAND_STRIDE } from './layout.ts';
import { DeliveryFault, outputLength, readInput, writeOutput } from './mailbox.ts';
import { Refusal } from './refusal.ts';

const TWO_32 = 0x1_0000_0000;
const PAGE_MASK = 0xfff;

/** Who owns a command queue. */
export interface CommandSite {
  readonly name: string;
  readonly hw: HwMachine;
  /** `null` while there is none: no bus mastering. */
  readonly dma: () => DmaPort | null;
  /** Carry a command out. @throws Refusal */
  readonly run: (input: Uint8Array, output: Uint8Array) => undefined;
  /** A command begins. @returns tells who waited from then on that it is done */
  readonly begin: (entry: number) => () => undefined;
}

/** The queue and its registers. */
export class CommandQueue {
  addressHigh = 0;
  /** Low half of the page's address; below it are the sizes of the queue. */
  addressLow = 0;
  /** Commands answered, and refused ones among them. */
  answered = 0;
  refused = 0;
  /** Entries that DMA could not reach. */
  lost = 0;
  private rung = 0;
  private readonly site: CommandSite;
  private readonly work: AtomicWork;

  constructor(site: CommandSite) {
    this.site = site;
    this.work = { name: `${site.name} commands`, run: () => this.serve(), pending: false, cause: 0 };
  }

  /** What `cmdq_addr_l_sz` reads. */
  get addressAndSize(): number {
    return ((this.addressLow & ~PAGE_MASK) | (LOG_COMMANDS << 4) | LOG_COMMAND_STRIDE) >>> 0;
  }

  /** A write to `cmd_dbell`. @param entries a bit each */
  ring(entries: number): undefined {
    this.rung = (this.rung | entries) >>> 0;
    if (this.rung !== 0) this.site.hw.sched.raise(this.work);
  }

  reset(): undefined {
    this.rung = 0;
    this.addressHigh = 0;
    this.addressLow = 0;
  }

  private serve(): undefined {
    const port = this.site.dma();
    if (port === null) return;
    const { rung } = this;
    this.rung = 0;
    const page = this.addressHigh * TWO_32 + ((this.addressLow & ~PAGE_MASK) >>> 0);
    for (let n = 0; n < 1 << LOG_COMMANDS; n++) {
      if ((rung & (1 << n)) !== 0) this.carryOut(port, page + (n << LOG_COMMAND_STRIDE), n);
    }
  }

  private carryOut(port: DmaPort, address: number, n: number): undefined {
    const entry = new Uint8Array(mlx5_cmd_layout.size);
    if (!Number.isSafeInteger(address) || !port.read(address, entry.length, entry)) {
      this.lost++;
      return;
    }
    if ((mlx5_cmd_layout.get(entry, 'status_own') & CMD_OWNER_HW) === 0) return;
    const done = this.site.begin(n);
    mlx5_cmd_layout.set(entry, 'status_own', this.deliver(port, entry) << 1);
    this.answered++;
    // The owner bit last: nothing of the answer is missing when the driver sees it.
    const own = mlx5_cmd_layout.offsetof('status_own');
    if (!port.write(address, entry.subarray(0, own)) || !port.write(address + own, entry.subarray(own))) this.lost++;
    else done();
  }

  /** @returns the delivery status */
  private deliver(port: DmaPort, entry: Uint8Array): number {
    try {
      const input = readInput(port, entry);
      const output = new Uint8Array(outputLength(entry));
      this.execute(input, output);
      writeOutput(port, entry, output);
      return 0;
    } catch (error) {
      if (!(error instanceof DeliveryFault)) throw error;
      return error.delivery;
    }
  }

  private execute(input: Uint8Array, output: Uint8Array): undefined {
    const { trace } = this.site.hw;
    if (trace.enabled) trace.emit('command', { device: this.site.name, opcode: mlx5_cmd_in.get(input, 'opcode') });
    try {
      this.site.run(input, output);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.refused++;
      output.fill(0);
      mlx5_cmd_out.set(output, 'status', error.status);
      mlx5_cmd_out.set(output, 'syndrome', error.syndrome);
    }
  }
}
