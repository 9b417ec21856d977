/**
 * Mappings of files that another process may cut short.
 *
 * Touching what is gone raises SIGBUS, which would end this process. While such a mapping is guarded the signal is caught,
 * so that the access is tried again and again; a worker, which looks at the files' lengths, meanwhile puts zeros where the
 * file has ended, and then the access succeeds.
 */
import type * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as threads from 'node:worker_threads';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '@vdpalab/uapi';
import { mmapPrototype, type Mapping } from './mapping.ts';

/** Milliseconds between two looks at the files: the longest that an access is held up. */
const PERIOD = 20;
/** Milliseconds that the worker may take to start. */
const START = 10_000;
/** Words of the memory shared with the worker: who holds the table, and whether the worker runs. */
const LOCK = 0;
const RUNS = 1;

/** A guarded mapping. */
export interface ShrinkGuard {
  /** Whether the file has been cut into the mapping: zeros are there instead. */
  readonly cut: boolean;
  /** Guard it no more: before it is unmapped, and before the descriptor is closed. */
  readonly release: () => void;
}

/** What the worker is told. */
interface Told {
  readonly id: number;
  /** `null`: forget it. */
  readonly file: { readonly fd: number; readonly offset: number; readonly address: bigint; readonly page: number; kept: number } | null;
}

/** The worker's way to modules: it is sent as text, and can refer to nothing here. */
type Load = (id: string) => unknown;

/** What the worker is. */
function watchFiles(load: Load): void {
  const { workerData, receiveMessageOnPort } = load('node:worker_threads') as typeof threads;
  const { fstatSync } = load('node:fs') as typeof fs;
  const { words, port, koffi, prototype, period, prot, flags } = workerData as WorkerData;
  const mmap = (load(koffi) as { load: (path: null) => { func: (prototype: string) => (...args: (number | bigint)[]) => number } }).load(null).func(prototype);
  const files = new Map<number, NonNullable<Told['file']>>();
  Atomics.store(words, 1, 1);
  Atomics.notify(words, 1);
  for (;;) {
    Atomics.wait(words, 1, 1, period); // nobody wakes it
    while (Atomics.compareExchange(words, 0, 0, 1) !== 0) Atomics.wait(words, 0, 1, 1);
    for (let got = receiveMessageOnPort(port) as { message: Told } | undefined; got !== undefined; got = receiveMessageOnPort(port) as typeof got) {
      if (got.message.file === null) files.delete(got.message.id);
      else files.set(got.message.id, got.message.file);
    }
    for (const [id, file] of files) {
      const left = Math.ceil(fstatSync(file.fd).size / file.page) * file.page - file.offset;
      if (left >= file.kept) continue;
      const from = Math.max(left, 0);
      mmap(file.address + BigInt(from), file.kept - from, prot, flags, -1, 0);
      file.kept = from;
      port.postMessage(id);
    }
    Atomics.store(words, 0, 0);
    Atomics.notify(words, 0);
  }
}

interface WorkerData {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly port: threads.MessagePort;
  /** Path of the package. */
  readonly koffi: string;
  readonly prototype: string;
  readonly period: number;
  readonly prot: number;
  readonly flags: number;
}

function tryAgain(): void {
  // The access that raised the signal is repeated when its handler returns.
}

/** The worker and its table, from the first mapping that is guarded to the end of the process. */
class Watcher {
  readonly #words = new Int32Array(new SharedArrayBuffer(8));
  readonly #port: threads.MessagePort;
  readonly #cut = new Map<number, () => void>();
  #lastId = 0;

  constructor() {
    const { port1, port2 } = new threads.MessageChannel();
    this.#port = port1;
    const workerData: WorkerData = {
      words: this.#words, port: port2, koffi: createRequire(import.meta.url).resolve('koffi'), prototype: mmapPrototype, period: PERIOD,
      prot: PROT_READ | PROT_WRITE, flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
    };
    new threads.Worker(`(${watchFiles.toString()})(require)`, { eval: true, workerData, transferList: [port2], execArgv: [] }).unref();
    port1.on('message', (id: number) => this.#cut.get(id)?.());
    port1.unref();
    Atomics.wait(this.#words, RUNS, 0, START);
  }

  add(file: NonNullable<Told['file']>, cut: () => void): number {
    const id = ++this.#lastId;
    if (this.#cut.size === 0) process.on('SIGBUS', tryAgain);
    this.#cut.set(id, cut);
    this.#tell({ id, file });
    return id;
  }

  /** When this returns the worker will not touch the mapping any more. */
  remove(id: number): void {
    if (!this.#cut.delete(id)) return;
    this.#tell({ id, file: null });
    if (this.#cut.size === 0) process.off('SIGBUS', tryAgain);
  }

  /** The worker takes what it is told before it looks, and looks with the lock held. */
  #tell(told: Told): void {
    while (Atomics.compareExchange(this.#words, LOCK, 0, 1) !== 0) Atomics.wait(this.#words, LOCK, 1, 1);
    this.#port.postMessage(told);
    Atomics.store(this.#words, LOCK, 0);
    Atomics.notify(this.#words, LOCK);
  }
}

let watcher: Watcher | null = null;

/**
 * Guard a mapping of a file that may get shorter; a sealed one (`F_SEAL_SHRINK`) needs none.
 *
 * @param fd the file's; must stay open
 * @param offset of the mapping in the file, bytes
 * @param length bytes mapped
 * @param page bytes of one page of the file
 * @param onCut told on the event loop, once for each cut that reaches into the mapping
 */
export function guardMapping({ address }: Mapping, fd: number, offset: number, length: number, page: number, onCut: () => void): ShrinkGuard {
  watcher ??= new Watcher();
  const mine = watcher;
  let cut = false;
  const id = mine.add({ fd, offset, address, page, kept: length }, () => {
    cut = true;
    onCut();
  });
  return {
    get cut() {
      return cut;
    },
    release: () => mine.remove(id),
  };
}
