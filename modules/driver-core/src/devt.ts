/** What a device number brings: the `dev` attribute, the link in /sys/dev, the node in /dev. */
import type { DirNode } from '@vdpalab/fs';
import { DEVNODE_MODE, devnodeName } from './device-uevent.ts';
import type { Core, DeviceState } from './state.ts';

/** Make them; the step `devt` takes them away. @see drivers/base/core.c device_add (Linux 6.1) */
export function devtAddDevice(core: Core, state: DeviceState, dir: DirNode, devt: { readonly major: number; readonly minor: number }): void {
  const { dev, files } = state;
  const { k } = core;
  const number = `${devt.major}:${devt.minor}`;
  const block = dev.class?.name === 'block';
  const numbers = block ? core.dirs.devBlock : core.dirs.devChar;
  const path = devnodeName(dev);
  const undo: (() => void)[] = [];
  const undoAll = (): void => undo.toReversed().forEach((step) => step());
  try {
    const file = files.file(dir, 'dev', 0o444, { show: async () => `${number}\n` });
    undo.push(() => files.remove(file));
    const link = k.kernfs_create_link(numbers, number, dir);
    undo.push(() => k.kernfs_remove(link));
    const mode = dev.devnode?.mode ?? 0;
    k.devtmpfs_create_node(path, devt.major, devt.minor, mode === 0 ? DEVNODE_MODE : mode, block ? 'blk' : 'chr');
    undo.push(() => k.devtmpfs_delete_node(path));
  } catch (error) {
    undoAll();
    throw error;
  }
  state.steps.did('devt', undoAll);
}
