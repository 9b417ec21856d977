/**
 * Mappings of files that another process may cut short.
 *
 * Touching what is gone raises SIGBUS, which would end this process. In a guarded mapping the handler of the signal puts
 * zeros there, so the access succeeds; a SIGBUS from elsewhere does what it does without a guard.
 */
import { closeSync } from 'node:fs';
import { eventfd, takeEventfd } from './eventfd.ts';
import type { Mapping } from './mapping.ts';
import { watchReadable, type Watch } from './poll.ts';
import { canHandleSigbus, SigbusHandler } from './sigbus-handler.ts';

/** A guarded mapping. */
export interface ShrinkGuard {
  /** Whether an access has found the file cut: zeros are there instead. */
  readonly cut: boolean;
  /** Guard it no more: before it is unmapped. Twice is fine. */
  readonly release: () => void;
}

/** The guarded mappings, and the eventfd by which the handler tells of cuts while there are any. */
class Guards {
  readonly #handler = new SigbusHandler();
  /** By entry: who is told, once. */
  readonly #guarded = new Map<number, (() => void) | null>();
  #fd = -1;
  #watch: Watch | null = null;

  add(mapping: Mapping, length: number, page: number, onCut: () => void): number {
    if (this.#watch === null) {
      this.#fd = eventfd();
      this.#watch = watchReadable(this.#fd, () => this.#tell(), { keepsAlive: false });
      this.#handler.eventfd = this.#fd;
    }
    const entry = this.#handler.add(mapping.address, length, page);
    this.#guarded.set(entry, onCut);
    return entry;
  }

  cut(entry: number): boolean {
    return this.#handler.cut(entry);
  }

  remove(entry: number): void {
    this.#handler.remove(entry);
    this.#guarded.delete(entry);
    if (this.#guarded.size > 0) return;
    this.#handler.eventfd = -1;
    this.#watch?.close();
    this.#watch = null;
    closeSync(this.#fd);
  }

  #tell(): void {
    takeEventfd(this.#fd);
    for (const [entry, onCut] of [...this.#guarded]) {
      if (onCut === null || !this.#handler.cut(entry)) continue;
      this.#guarded.set(entry, null);
      onCut();
    }
  }
}

let guards: Guards | null = null;

/**
 * Guard a mapping of a file that may get shorter; a sealed one (`F_SEAL_SHRINK`) needs none. On x86-64 only: elsewhere
 * the mapping is as it was.
 *
 * @param length bytes mapped, whole pages of the file
 * @param page bytes of one page of the file
 * @param onCut told on the event loop, once, when an access has found the file cut
 * @throws HostError when the handler cannot be installed; RangeError when there are some thousand guards already
 */
export function guardMapping(mapping: Mapping, length: number, page: number, onCut: () => void): ShrinkGuard {
  if (!canHandleSigbus) return { cut: false, release: () => undefined };
  guards ??= new Guards();
  const mine = guards;
  const entry = mine.add(mapping, length, page, onCut);
  let held = true;
  let cut = false;
  return {
    get cut() {
      return held ? mine.cut(entry) : cut;
    },
    release: () => {
      if (!held) return;
      cut = mine.cut(entry);
      held = false;
      mine.remove(entry);
    },
  };
}
