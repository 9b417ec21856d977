/** A Linux guest in QEMU, emulated (TCG), and its shell over a serial port. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GuestImage } from './image.ts';

/** What a command in the guest did. */
export interface GuestResult {
  /** Its output and its messages, as they came. */
  readonly stdout: string;
  /** Exit status. */
  readonly status: number;
}

/** How a guest is made. */
export interface GuestOptions {
  /** QEMU's arguments besides those of the machine: network devices. */
  readonly args?: readonly string[];
  /** MiB of memory; 128 when absent. */
  readonly memory?: number;
  /** Memory is a memfd that a back-end can map: QEMU's `share=on`. */
  readonly shared?: boolean;
  /** Processors; 1 when absent. */
  readonly cpus?: number;
  /** More of the kernel's command line. */
  readonly append?: string;
  /** QEMU starts anew when the guest restarts; otherwise it ends. */
  readonly restarts?: boolean;
  /** What to run instead of the QEMU on PATH: a launcher and QEMU, say. */
  readonly command?: readonly string[];
}

/** Milliseconds a guest may take from start to its shell; a loaded machine needs 20 seconds. */
const BOOT_LIMIT = 90_000;
/** Milliseconds a command may take. */
const RUN_LIMIT = 60_000;
/** Milliseconds QEMU may take to end. */
const END_LIMIT = 15_000;
/** QEMU, which does not outlive whoever started it. */
const TIED = ['setpriv', '--pdeathsig', 'KILL', 'qemu-system-x86_64'];
/** Ends a command's output, and the greeting of a shell. */
const MARK = '\x01';

/** QEMU or the guest's kernel ended, or did not answer in time; the message ends with what both last said. */
export class GuestError extends Error {}

interface Waiter {
  readonly resolve: (text: string) => void;
  readonly reject: (error: Error) => void;
}

/** One QEMU with a Linux guest. Commands run one at a time. */
export class Guest {
  /** Milliseconds from start to the shell. */
  bootMs = 0;
  readonly #qemu: ChildProcess;
  readonly #folder: string;
  readonly #ended: Promise<void>;
  #received = '';
  #stderr = '';
  #waiter: Waiter | null = null;
  /** Why nothing more can be asked. */
  #broken: GuestError | null = null;

  private constructor(image: GuestImage, options: GuestOptions) {
    this.#folder = mkdtempSync(join(tmpdir(), 'guest-'));
    const memory = `${options.memory ?? 128}M`;
    const [program, ...before] = options.command ?? TIED;
    this.#qemu = spawn(program!, [
      ...before,
      '-nodefaults', '-no-user-config', '-display', 'none', '-accel', 'tcg', '-cpu', 'max', '-smp', `${options.cpus ?? 1}`, '-m', memory,
      ...(options.shared === true
        ? ['-object', `memory-backend-memfd,id=mem,size=${memory},share=on`, '-machine', 'q35,memory-backend=mem']
        : ['-machine', 'q35']),
      ...(options.restarts === true ? [] : ['-no-reboot']),
      '-kernel', image.kernel, '-initrd', image.initramfs,
      '-append', ['console=ttyS0 rdinit=/init panic=-1 quiet mitigations=off', options.append ?? ''].join(' '),
      '-serial', `file:${join(this.#folder, 'console')}`,
      '-chardev', 'stdio,id=shell,signal=off', '-serial', 'chardev:shell',
      ...(options.args ?? []),
    ], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#qemu.stdout!.setEncoding('utf8').on('data', (text: string) => this.#take(text));
    this.#qemu.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.#qemu.stdin!.on('error', () => {}); // the end of QEMU says more
    this.#ended = new Promise((resolve) => {
      this.#qemu.on('error', (error) => this.#fail(error.message));
      this.#qemu.on('close', (status, signal) => {
        this.#fail(`QEMU ended ${signal === null ? `with status ${status}` : `by ${signal}`}`);
        resolve();
      });
    });
  }

  /** Start QEMU alone: for a guest that moves in from another. Its shell is what it was there, and greets nobody. */
  static launch(image: GuestImage, options: GuestOptions = {}): Guest {
    return new Guest(image, options);
  }

  /**
   * Start QEMU and wait for the guest's shell.
   *
   * @throws GuestError when it does not come up
   */
  static async start(image: GuestImage, options: GuestOptions = {}): Promise<Guest> {
    const from = performance.now();
    const guest = new Guest(image, options);
    try {
      await guest.ready();
    } catch (error) {
      await guest.kill();
      throw error;
    }
    guest.bootMs = performance.now() - from;
    return guest;
  }

  /** QEMU's process. */
  get pid(): number {
    return this.#qemu.pid ?? -1;
  }

  /** What the guest's kernel wrote to its console. */
  get console(): string {
    try {
      return readFileSync(join(this.#folder, 'console'), 'utf8');
    } catch {
      return ''; // QEMU did not get so far
    }
  }

  /** What QEMU said. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Wait for the greeting of a shell: after start, and after a restart. */
  async ready(limit = BOOT_LIMIT): Promise<void> {
    const greeting = await this.#await(limit, 'the guest does not come up');
    if (greeting.status !== 'ready') throw this.#fail(`the guest greets with ${JSON.stringify(greeting)}`);
  }

  /**
   * Run a command in the guest's shell.
   *
   * @param command one line
   * @param limit milliseconds; a command that takes longer ends the use of this guest
   * @throws GuestError when the guest does not answer
   */
  async run(command: string, limit = RUN_LIMIT): Promise<GuestResult> {
    if (command.includes('\n')) throw new RangeError(`not one line: ${command}`);
    const answer = this.#await(limit, `no answer to: ${command}`);
    this.#qemu.stdin!.write(`${command}\n`);
    const { text, status } = await answer;
    return { stdout: text, status: Number(status) };
  }

  /**
   * Run a command that has to succeed.
   *
   * @returns its output
   * @throws GuestError when its exit status is not 0
   */
  async ok(command: string, limit = RUN_LIMIT): Promise<string> {
    const { stdout, status } = await this.run(command, limit);
    if (status !== 0) throw new GuestError(`${command}: exit status ${status}\n${stdout}${this.#last()}`);
    return stdout;
  }

  /** Restart the guest and wait for its shell. */
  async restart(): Promise<void> {
    this.#qemu.stdin!.write('reboot -f\n');
    await this.ready();
  }

  /** Switch the guest off and wait for QEMU's end. */
  async poweroff(): Promise<void> {
    this.#qemu.stdin!.write('poweroff -f\n');
    const timer = setTimeout(() => this.#qemu.kill('SIGKILL'), END_LIMIT);
    await this.#ended;
    clearTimeout(timer);
    const { signalCode, exitCode } = this.#qemu;
    this.#remove();
    if (exitCode !== 0) throw new GuestError(`poweroff: QEMU ended with ${signalCode ?? exitCode}${this.#last()}`);
  }

  /** Kill QEMU, whatever it does, and wait for its end. */
  async kill(): Promise<void> {
    this.#qemu.kill('SIGKILL');
    if (this.#qemu.pid !== undefined) await this.#ended;
    this.#remove();
  }

  #remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #take(text: string): void {
    this.#received += text;
    const mark = this.#received.indexOf(MARK);
    const end = mark < 0 ? -1 : this.#received.indexOf('\n', mark);
    if (end < 0 || this.#waiter === null) return;
    const waiter = this.#waiter;
    this.#waiter = null;
    const answer = this.#received.slice(0, end);
    this.#received = this.#received.slice(end + 1);
    waiter.resolve(answer);
  }

  async #await(limit: number, late: string): Promise<{ text: string; status: string }> {
    if (this.#broken !== null) throw this.#broken;
    if (this.#waiter !== null) throw new Error('one command at a time');
    const answer = new Promise<string>((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
    const timer = setTimeout(() => this.#fail(`${late} (in ${limit} ms)`), limit);
    this.#take('');
    try {
      const [text = '', status = ''] = (await answer).split(MARK);
      return { text, status };
    } finally {
      clearTimeout(timer);
    }
  }

  #fail(why: string): GuestError {
    this.#broken ??= new GuestError(`${why}${this.#last()}`);
    this.#waiter?.reject(this.#broken);
    this.#waiter = null;
    return this.#broken;
  }

  #last(): string {
    const parts = [['QEMU', this.#stderr], ['console', this.console], ['shell', this.#received]] as const;
    return parts.filter(([, text]) => text.trim() !== '').map(([who, text]) => `\n${who}: ${text.trim().split('\n').slice(-15).join('\n')}`).join('');
  }
}
