/** A part of another process's file as RAM of the lab, and as memory of the process that serves it. */
import { closeSync, writeSync } from 'node:fs';
import type { RamRegion } from '@vdpalab/abi';
import type { FileOperations } from '@vdpalab/fs';
import type { Lab, UserProcess } from '@vdpalab/lab';
import {
  addressOf, fileShape, F_SEAL_SHRINK, guardMapping, HostError, mapBeside, mapInside, memfd, sealsOf, type Mapping, type ShrinkGuard,
} from '@vdpalab/libc';
import type { ForeignPlace } from '@vdpalab/machine';
import { refuse } from '../refuse.ts';
import { MAP_SHARED, O_RDWR, PROT_READ, PROT_WRITE } from '@vdpalab/uapi';

const PAGE_SIZE = 4096;
/** Bytes of a large page of the IOMMU. */
const LARGE_PAGE = 0x20_0000;
/** Most bytes of one mapping: pieces of a large file then find room in one WebAssembly memory. */
const PIECE = 0x8000_0000;

/** Where memory of a host process goes. */
export interface MemorySite {
  readonly lab: Lab;
  /** Gets the memory into its address space. */
  readonly p: UserProcess;
  /** `beside` maps outside of WebAssembly memories, where nothing may be mapped inside one. */
  readonly how: 'inside' | 'beside';
  /** Told when a file has become shorter than what is mapped of it; zeros are in its place then. */
  readonly cut: () => void;
}

/** One mapped piece. */
interface Piece {
  readonly mapping: Mapping;
  /** `null` where the file cannot get shorter. */
  readonly guard: ShrinkGuard | null;
  readonly place: ForeignPlace;
  readonly region: RamRegion;
  /** Bytes from the region's start to the first wanted byte. */
  readonly skip: number;
  readonly size: number;
}

/** A mapped part of a file, which is a file of the lab too: it lives as long as it is mapped, and goes with the process at the latest. */
export class HostFile {
  /** Address in the serving process. */
  readonly va: number;
  /** Bytes. */
  readonly size: number;
  readonly #p: UserProcess;
  readonly #pieces: readonly Piece[];

  private constructor(p: UserProcess, va: number, size: number, pieces: readonly Piece[]) {
    this.#p = p;
    this.va = va;
    this.size = size;
    this.#pieces = pieces;
  }

  /**
   * Map a part of a file. Inside a task of the serving process.
   *
   * @param fd the file's from now on, also when it is refused
   * @param offset bytes, page-aligned
   * @param size bytes, whole pages
   * @param iova where devices see it, page-aligned: an IOMMU can then use large pages
   * @throws EINVAL for what is not whole pages, or reaches past the file's end; what the host says about mapping
   */
  static async map(site: MemorySite, fd: number, offset: number, size: number, iova = 0): Promise<HostFile> {
    const { lab, p } = site;
    const pieces: Piece[] = [];
    const undo = (): void => {
      for (const piece of pieces.splice(0).reverse()) dropPiece(piece);
      closeSync(fd);
    };
    let labFd: number;
    try {
      if (size <= 0 || size % PAGE_SIZE !== 0) throw refuse('memory.size', `${size} bytes are not whole pages`);
      if (offset % PAGE_SIZE !== 0) throw refuse('memory.offset', `offset ${offset} into the file is not page-aligned`);
      const file = fileShape(fd);
      if (offset + size > file.size) throw refuse('memory.end', `bytes ${offset} to ${offset + size} of a file of ${file.size}`);
      for (let at = 0; at < size; at += PIECE) pieces.push(mapPiece(site, fd, file.page, offset + at, Math.min(PIECE, size - at), (iova + at) % LARGE_PAGE));
      labFd = lab.symbol('anon_inode_getfd')(p.proc, '[host-memory]', memoryOps(pieces, undo), null, O_RDWR);
    } catch (error) {
      undo();
      if (error instanceof HostError) throw refuse('memory.mmap', error.message);
      throw error;
    }
    try {
      const va = await p.mmap(size, PROT_READ | PROT_WRITE, MAP_SHARED, labFd);
      return new HostFile(p, va, size, pieces);
    } finally {
      await p.close(labFd);
    }
  }

  /** Whether the file has become shorter than what is mapped of it. */
  get cut(): boolean {
    return this.#pieces.some(({ guard }) => guard?.cut === true);
  }

  /** Views of the bytes, in order; more than one for a large file. */
  get views(): readonly Uint8Array[] {
    return this.#pieces.map(({ region, skip, size }) => region.u8.subarray(skip, skip + size));
  }

  /** Give it back; no device may reach it any more. Inside a task of the serving process. */
  async unmap(): Promise<void> {
    await this.#p.munmap(this.va, this.size);
  }
}

/** The lab's file: a mapping of it gets the pieces' pages, and its last close gives them back. */
function memoryOps(pieces: readonly Piece[], release: () => void): FileOperations {
  return {
    mmap: async (_file, area) => {
      area.backing = { kind: 'pages', runs: pieces.map((piece) => ({ pa: piece.region.base + piece.skip, pages: piece.size / PAGE_SIZE })) };
    },
    release: async () => release(),
  };
}

function dropPiece({ mapping, guard, place }: Piece): void {
  guard?.release();
  mapping.unmap();
  place.free();
}

/**
 * @param page bytes of one page of the file: larger than 4096 on hugetlbfs
 * @param into bytes that its bus address is into a large page of the IOMMU
 */
function mapPiece({ lab, how, cut }: MemorySite, fd: number, page: number, offset: number, size: number, into: number): Piece {
  const skip = offset % page;
  const whole = Math.ceil((skip + size) / page) * page;
  const { foreign } = lab.hw;
  const guarded = (mapping: Mapping): Pick<Piece, 'mapping' | 'guard'> => ({
    mapping, guard: (sealsOf(fd) & F_SEAL_SHRINK) === 0 ? guardMapping(mapping, whole, page, cut) : null,
  });
  if (how === 'beside') {
    const mapping = mapBeside(whole, fd, offset - skip);
    const place = foreign.around(mapping.buffer, whole);
    return { ...guarded(mapping), place, region: place.attach(), skip, size };
  }
  const large = page < LARGE_PAGE;
  const inside = (misfit: number): ForeignPlace => foreign.place(whole, large ? LARGE_PAGE : page, misfit);
  let place = inside(large ? into : 0);
  const off = Number(addressOf(new Uint8Array(place.buffer, place.byteOffset, 1)) % BigInt(page));
  if (off !== 0) {
    place.free();
    place = inside((place.byteOffset + page - off) % page);
  }
  try {
    const mapping = mapInside(place.buffer, place.byteOffset, whole, fd, offset - skip);
    return { ...guarded(mapping), place, region: place.attach(), skip, size };
  } catch (error) {
    place.free();
    throw error;
  }
}

/** Whether files can be mapped inside WebAssembly memories here: tried once, with a page. Inside a task of the lab. */
export function mapsInside(lab: Lab): boolean {
  const fd = memfd('vdpalab-probe', PAGE_SIZE);
  const place = lab.hw.foreign.place(PAGE_SIZE);
  try {
    writeSync(fd, Uint8Array.of(0xa5), 0, 1, 0);
    const seen = new Uint8Array(place.buffer, place.byteOffset, 1);
    const mapping = mapInside(place.buffer, place.byteOffset, PAGE_SIZE, fd, 0);
    const there = seen[0] === 0xa5;
    mapping.unmap();
    return there && seen[0] === 0;
  } catch (error) {
    if (error instanceof HostError) return false;
    throw error;
  } finally {
    place.free();
    closeSync(fd);
  }
}
