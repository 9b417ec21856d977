/** A kernel with devlink and the toy driver, for the tests of this package. */
import { bootBuiltins, DevlinkTool, TOY_DEVLINK, toyDevlink } from '@vdpalab/testing';
import type { BootedKernel, BootOptions, ToyDevlink } from '@vdpalab/testing';
import type { Process } from '@vdpalab/fs';

/** What is below the toy. */
export const BELOW = ['sched', 'mm', 'fs', 'driver-core', 'netlink', 'devlink'] as const;

/** A booted kernel whose toy driver is loaded. */
export interface ToyKernel extends BootedKernel {
  readonly toy: ToyDevlink;
  /** Run as root, or as somebody else, with a socket that asks about an instance. */
  readonly tool: <T>(body: (tool: DevlinkTool<Process>, proc: Process) => Promise<T>, handle?: string, as?: { readonly caps: readonly number[] }) => Promise<T>;
  /** The same within a task that runs. */
  readonly ask: <T>(proc: Process, body: (tool: DevlinkTool<Process>) => Promise<T>, handle?: string) => Promise<T>;
  /** Unload it. */
  readonly leave: () => Promise<void>;
}

/** Boot. */
export async function bootToy(options: BootOptions = {}): Promise<ToyKernel> {
  const kernel = await bootBuiltins(BELOW, options);
  const toy = toyDevlink();
  await kernel.run(() => kernel.insmod(toy.module));
  const ask: ToyKernel['ask'] = async (proc, body, handle = 'toy/toy0') => {
    const tool = await DevlinkTool.open(kernel.k, proc, handle);
    try {
      return await body(tool);
    } finally {
      await tool.close();
    }
  };
  return {
    ...kernel,
    toy, ask,
    tool: (body, handle, as) => kernel.user((proc) => ask(proc, (tool) => body(tool, proc), handle), as),
    leave: () => kernel.run(() => kernel.rmmod(TOY_DEVLINK)),
  };
}
