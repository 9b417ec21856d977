/** The lab's tree as a file system of the host, over FUSE. */
export type { DeviceNodes } from './attributes.ts';
export { HostProcesses } from './host-processes.ts';
export type { HostProcess } from './host-processes.ts';
export { LabFs } from './lab-fs.ts';
export type { LabFsOptions } from './lab-fs.ts';
export { mountLab } from './mount-lab.ts';
export type { LabMountOptions } from './mount-lab.ts';
export { MountError, mountFuse } from './mount.ts';
export type { Mounted, MountOptions } from './mount.ts';
export { statusOf } from './outside/status.ts';
export { PassedFiles } from './passed-files.ts';
export { bestReader, deviceFlags } from './reader.ts';
export type { ReaderKind } from './reader.ts';
export { FuseSession, settleMounts } from './session.ts';
export type { FuseHandlers } from './session.ts';
