/** A kernel of one module for the tests of this package: a machine, and `mm` on it. */
import { createMachine } from '@vdpalab/machine';
import type { HwMachine } from '@vdpalab/machine';
import { startModule } from '@vdpalab/testing';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '@vdpalab/uapi';
import type { MmStruct, MmSymbols } from '../header.ts';
import mm from '../module.ts';

export const RW = PROT_READ | PROT_WRITE;
export const ANON = MAP_PRIVATE | MAP_ANONYMOUS;
export const PAGE = 4096;

/** What a test works with. */
export interface TestKernel {
  readonly k: MmSymbols;
  readonly hw: HwMachine;
  readonly mm: MmStruct;
  /** Map anonymous memory somewhere. @returns its address */
  readonly anon: (bytes: number, prot?: number) => number;
}

/** Boot. @param pages of RAM, page 0 included, which is never handed out */
export async function bootMm(pages = 257): Promise<TestKernel> {
  const hw = createMachine({
    seed: 1, ramBytes: pages * PAGE, iommu: false, cmdline: '', release: '6.1.0', consoleSink: () => undefined,
  });
  const { ksymtab: k } = await startModule(mm, { machine: hw.machine });
  const space = k.mm_alloc();
  return { k, hw, mm: space, anon: (bytes, prot = RW) => k.mm_map(space, 0, bytes, prot, ANON, 0, true).start };
}
