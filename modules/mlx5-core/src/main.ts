/** A function from its first register to its drivers, and back. Mirrors `main.c` (Linux 6.1). */
import { UndoStack, withUndo } from '@vdpalab/abi';
import { MLX5_CMD_OP_DISABLE_HCA, MLX5_CMD_OP_ENABLE_HCA, MLX5_CMD_OP_INIT_HCA, MLX5_CMD_OP_TEARDOWN_HCA } from '@vdpalab/uapi';
import type { CoreDev } from './core-dev.ts';
import { Eswitch } from './eswitch.ts';
import { firmwareVersion, queryBoardId, setIssi, waitFirmware } from './firmware.ts';
import { functionCmd, undoFunctionCmd } from './function-cmd.ts';
import { registerParams } from './params.ts';
import { SfManagement } from './sf-management.ts';

/** Do a step of coming up; if it fails, say which. */
async function step<T>(dev: CoreDev, failed: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    dev.err(failed);
    throw error;
  }
}

/** Firmware up, capabilities known. @see `mlx5_function_setup` */
async function functionSetup(dev: CoreDev): Promise<void> {
  dev.info(`firmware version: ${firmwareVersion(dev).join('.')}`);
  await withUndo(dev.setup, async () => {
    await waitFirmware(dev);
    await step(dev, 'Failed initializing command interface, aborting', () => dev.cmd.start());
    dev.setup.push('command interface', () => dev.cmd.stop());
    await step(dev, 'enable hca failed', () => functionCmd(dev, MLX5_CMD_OP_ENABLE_HCA, 0));
    dev.setup.push('enabled function', () => undoFunctionCmd(dev, MLX5_CMD_OP_DISABLE_HCA, 0));
    await step(dev, 'failed to set issi', () => setIssi(dev));
    await step(dev, 'init hca failed', () => functionCmd(dev, MLX5_CMD_OP_INIT_HCA, 0));
    dev.setup.push('initialised function', () => undoFunctionCmd(dev, MLX5_CMD_OP_TEARDOWN_HCA, 0));
    await step(dev, 'query hca failed', () => dev.caps.query(dev));
    dev.health.start();
  });
}

/** What stays over reloads. @see `mlx5_init_once` */
async function initOnce(dev: CoreDev): Promise<void> {
  await withUndo(dev.once, async () => {
    await step(dev, 'query board id failed', () => queryBoardId(dev));
    if (!dev.caps.eswitchManager) return;
    const eswitch = new Eswitch(dev, async (switchdev) => {
      if (switchdev) dev.sfs?.table.enable();
      else await dev.sfs?.table.disable();
    });
    dev.eswitch = eswitch;
    dev.once.push('eswitch', () => {
      dev.info('E-Switch: cleanup');
      dev.eswitch = null;
    });
    if (dev.caps.vhcaEvents && dev.caps.maxSfs > 0) dev.sfs = new SfManagement(dev, eswitch);
    dev.once.push('subfunctions', () => void (dev.sfs = null));
  });
}

/** Doorbells, interrupts, queues, switch. @see `mlx5_load` */
async function load(dev: CoreDev): Promise<void> {
  await withUndo(dev.loaded, async () => {
    const uar = await step(dev, 'Failed allocating uar, aborting', () => dev.uars.get());
    dev.setUar(uar);
    dev.loaded.push('doorbells', async () => {
      dev.setUar(null);
      await dev.uars.put(uar.index);
    });
    if (dev.parent === null) {
      await step(dev, 'Failed to alloc IRQs', () => dev.irqs.create());
      dev.loaded.push('vectors', () => dev.irqs.destroy());
    }
    await step(dev, 'Failed to create EQs', () => dev.eqs.create());
    dev.loaded.push('event queues', () => dev.eqs.destroy());
    const { eswitch, sfs } = dev;
    const stacks = sfs === null ? null : await step(dev, 'sf table create failed', () => sfs.start());
    if (stacks !== null) dev.loaded.push('subfunction tables', () => stacks.tables.run());
    if (eswitch !== null) {
      await eswitch.start();
      dev.loaded.push('eswitch', () => eswitch.stop());
    }
    // Devices of subfunctions go before the switch, their functions after it.
    if (stacks !== null) dev.loaded.push('subfunction devices', () => stacks.devices.run());
  });
}

/** Bring a function up for the first time. @throws the errno of the step that failed; nothing is left then @see `mlx5_init_one` */
export async function initOne(dev: CoreDev): Promise<void> {
  await locked(dev, () => undoing(async (undo) => {
    await functionSetup(dev);
    undo.push('function', () => dev.setup.run());
    await step(dev, 'sw objs init failed', () => initOnce(dev));
    undo.push('objects', () => dev.once.run());
    await load(dev);
    undo.push('load', () => dev.loaded.run());
    dev.up = true;
    undo.push('state', () => void (dev.up = false));
    dev.once.push('parameters', await registerParams(dev));
    await dev.adevs.register();
  }));
  dev.shared.devs.add(dev);
}

/** Take it down for good. @see `mlx5_uninit_one` */
export async function uninitOne(dev: CoreDev): Promise<void> {
  dev.shared.devs.delete(dev);
  await locked(dev, async () => {
    await dev.adevs.detach();
    if (!dev.up) dev.warn('mlx5_uninit_one: interface is down, NOP');
    dev.up = false;
    await dev.loaded.run();
    await dev.once.run();
    await dev.setup.run();
  });
}

/** Bring it up again. The devlink lock is held. @throws as {@link initOne} @see `mlx5_load_one_devl_locked` */
export async function loadOne(dev: CoreDev): Promise<void> {
  if (dev.up) return dev.warn('interface is up, NOP');
  dev.internalError = false;
  await undoing(async (undo) => {
    await functionSetup(dev);
    undo.push('function', () => dev.setup.run());
    await load(dev);
    undo.push('load', () => dev.loaded.run());
    dev.up = true;
    undo.push('state', () => void (dev.up = false));
    await dev.adevs.attach();
  });
}

/** Take it down, to be brought up again. The devlink lock is held. @see `mlx5_unload_one_devl_locked` */
export async function unloadOne(dev: CoreDev): Promise<void> {
  await dev.adevs.detach();
  if (!dev.up) return dev.warn('mlx5_unload_one: interface is down, NOP');
  dev.up = false;
  await dev.loaded.run();
  await dev.setup.run();
}

async function locked(dev: CoreDev, body: () => Promise<void>): Promise<void> {
  await dev.k.devl_lock(dev.devlink);
  try {
    await body();
  } finally {
    dev.k.devl_unlock(dev.devlink);
  }
}

/** Do all of it or nothing. */
async function undoing(body: (undo: UndoStack) => Promise<void>): Promise<void> {
  const undo = new UndoStack();
  await withUndo(undo, () => body(undo));
}
