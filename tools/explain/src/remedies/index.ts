/** The shortest thing that would have worked, computed for one refusal in the lab as it is now. */
import type { KernelError } from '@vdpalab/abi';
import type { LabView } from '../view.ts';
import { busRemedies } from './bus.ts';
import { fileRemedies } from './files.ts';
import { moduleRemedies } from './modules.ts';
import { pciRemedies } from './pci.ts';
import { vdpaRemedies } from './vdpa.ts';

/** Computes a remedy; `null` when nothing exact can be said. */
export type Remedy = (error: KernelError, view: LabView) => Promise<string | null> | string | null;

/** Remedies by rule. */
export type Remedies = Readonly<Record<string, Remedy>>;

/** All of them. */
export const remedies: Remedies = { ...moduleRemedies, ...busRemedies, ...fileRemedies, ...pciRemedies, ...vdpaRemedies };

/** The exact remedy for a refusal; `null` where the table's general one has to do. */
export async function exactRemedy(error: KernelError, view: LabView): Promise<string | null> {
  return await remedies[error.rule]?.(error, view) ?? null;
}
