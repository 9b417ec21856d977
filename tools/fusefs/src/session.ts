/** One connection to the host's kernel: reads requests, has them answered, each as it comes and none waiting for another. */
import {
  EIO, ENOSYS, FUSE_ASYNC_READ, FUSE_ATOMIC_O_TRUNC, FUSE_BATCH_FORGET, FUSE_BIG_WRITES, FUSE_DESTROY, FUSE_FORGET, FUSE_INIT,
  FUSE_INTERRUPT, FUSE_KERNEL_MINOR_VERSION, FUSE_KERNEL_VERSION, FUSE_MAX_PAGES, FUSE_PARALLEL_DIROPS, FUSE_RELEASE, EPROTO, fuse_init_in,
} from '@vdpalab/uapi';
import { errnoOf } from './errno.ts';
import { createReader } from './reader.ts';
import type { DeviceReader, ReaderKind } from './reader.ts';
import { Replies } from './reply.ts';
import { Arguments } from './request.ts';
import type { FuseRequest } from './request.ts';

/** Bytes one READ or WRITE moves at most. */
export const MAX_TRANSFER = 128 * 1024;
/** Bytes of a request's head and of whatever goes before the data of a WRITE. */
const HEAD_ROOM = 4096;
const PAGE_SIZE = 4096;

/**
 * Answers requests.
 *
 * A handler reads `args` before it first awaits, and answers through `reply`; what it throws becomes the answer. One
 * that returns without having answered leaves its caller waiting, so it must not.
 */
export interface FuseHandlers {
  /** By opcode; absent ones are answered with ENOSYS. */
  readonly [opcode: number]: ((request: FuseRequest, args: Arguments, reply: Replies) => Promise<void> | undefined) | undefined;
}

/** What a session tells. */
export interface SessionEvents {
  /** A handler's fault, or the protocol's. */
  readonly onBug: (text: string) => void;
}

/** Milliseconds that {@link FuseSession.settle} waits at most. */
const PATIENCE_MS = 200;

/** Sessions of this process. */
const live = new Set<FuseSession>();

/**
 * Let every mount of this process come to where its callers are: whoever closed a file before finds it closed.
 *
 * The host's kernel tells of a last close without waiting for the answer, so a call that comes in by another door, such
 * as delete_module, could overtake it.
 */
export async function settleMounts(): Promise<void> {
  for (const session of live) await session.settle();
}

/** A session over one open /dev/fuse. */
export class FuseSession {
  /** Settles when the kernel has ended the connection. */
  readonly ended: Promise<void>;
  readonly replies: Replies;
  readonly #handlers: FuseHandlers;
  readonly #events: SessionEvents;
  readonly #buffer = Buffer.alloc(MAX_TRANSFER + HEAD_ROOM);
  readonly #args = new Arguments(this.#buffer);
  readonly #reader: DeviceReader;
  /** Last closes under way. */
  readonly #releases = new Set<Promise<void>>();
  /** Requests that are not answered yet, by number. */
  readonly #underWay = new Map<number, FuseRequest>();

  /** @param fd of /dev/fuse, opened as the reader needs it */
  constructor(fd: number, reader: ReaderKind, handlers: FuseHandlers, events: SessionEvents) {
    this.#handlers = handlers;
    this.#events = events;
    this.replies = new Replies(fd, MAX_TRANSFER + HEAD_ROOM, events.onBug);
    let end = (): void => {};
    this.ended = new Promise((resolve) => {
      end = resolve;
    });
    this.#reader = createReader(reader, fd, this.#buffer, {
      onRequest: (length) => this.#dispatch(length),
      onEnd: () => {
        // The kernel has dropped all requests: whoever sleeps for one need not.
        for (const request of this.#underWay.values()) interrupt(request);
        live.delete(this);
        end();
      },
    });
  }

  /** Begin to serve. */
  start(): void {
    live.add(this);
    this.#reader.start();
  }

  /** Take what has come, and wait for last closes under way; for each but once and not for ever, since it may wait for whoever asks. */
  async settle(): Promise<void> {
    this.#reader.catchUp();
    if (this.#releases.size === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const releases = [...this.#releases];
    await Promise.race([Promise.all(releases), new Promise((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS);
    })]);
    clearTimeout(timer);
    for (const release of releases) this.#releases.delete(release);
  }

  /** Requests that wait for an answer now. */
  get pending(): number {
    return this.#underWay.size;
  }

  #dispatch(length: number): void {
    const request = this.#args.begin(length);
    switch (request.opcode) {
      case FUSE_INIT: {
        this.#init(request);
        return;
      }
      case FUSE_INTERRUPT: {
        const target = this.#underWay.get(this.#args.u64(0));
        if (target !== undefined) interrupt(target);
        return;
      }
      case FUSE_DESTROY: {
        this.replies.error(request.unique, 0);
        return;
      }
      default:
    }
    const silent = request.opcode === FUSE_FORGET || request.opcode === FUSE_BATCH_FORGET;
    const handler = this.#handlers[request.opcode];
    if (handler === undefined) {
      if (!silent) this.replies.error(request.unique, ENOSYS);
      return;
    }
    try {
      const answered = handler(request, this.#args, this.replies);
      if (answered !== undefined) this.#follow(request, answered);
    } catch (thrown) {
      this.#refuse(request, thrown);
    }
  }

  #follow(request: FuseRequest, answered: Promise<void>): void {
    this.#underWay.set(request.unique, request);
    const done: Promise<void> = answered.catch((thrown: unknown) => this.#refuse(request, thrown)).finally(() => {
      this.#underWay.delete(request.unique);
      this.#releases.delete(done);
    });
    if (request.opcode === FUSE_RELEASE) this.#releases.add(done);
  }

  #refuse(request: FuseRequest, thrown: unknown): void {
    const errno = errnoOf(thrown);
    if (errno === null) this.#events.onBug(`fuse: request of kind ${request.opcode}: ${thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown)}`);
    this.replies.error(request.unique, errno ?? EIO);
  }

  /** Settle how to talk. What needs no flag: entries and attributes are never kept, and no page is cached. */
  #init(request: FuseRequest): void {
    const { offsets } = fuse_init_in;
    const args = this.#args;
    const major = args.u32(offsets.major);
    if (major < FUSE_KERNEL_VERSION) {
      this.#events.onBug(`fuse: the kernel speaks version ${major}, not ${FUSE_KERNEL_VERSION}`);
      this.replies.error(request.unique, EPROTO);
      return;
    }
    const wanted = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES;
    this.replies.init(request.unique, {
      major: FUSE_KERNEL_VERSION,
      minor: FUSE_KERNEL_MINOR_VERSION,
      max_readahead: 0,
      // Never FUSE_DIRECT_IO_ALLOW_MMAP: a shared mapping must be refused, as it would show pages that nobody keeps up to date.
      flags: args.u32(offsets.flags) & wanted,
      max_background: 64,
      congestion_threshold: 48,
      max_write: MAX_TRANSFER,
      time_gran: 1_000_000_000,
      max_pages: MAX_TRANSFER / PAGE_SIZE,
    });
  }
}

function interrupt(request: FuseRequest): void {
  request.interrupted = true;
  request.onInterrupt?.();
}
