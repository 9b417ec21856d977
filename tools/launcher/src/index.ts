/** Runs unmodified programs in a namespace in which the lab is the system. */
export { askDown, askStatus, askTrap, attach, Call, runInLab } from './client.ts';
export { ownerOf } from './claim.ts';
export { enter, waitFor, type EnterOptions } from './enter.ts';
export { findProgram, hasProgram } from './find-program.ts';
export { LauncherError } from './errors.ts';
export type { Answer, Entrance, LabStatus } from './protocol.ts';
export { RealPlayer } from './real-player.ts';
export { labNames, labPaths, removeLabDir, runtimeRoot, type LabPaths } from './runtime-dir.ts';
export { serveLab, type RunningLab, type ServeOptions } from './serve.ts';
export { shimNames } from './shims.ts';
export { familyNames, isFamilyName, usualFamilies } from './trap/family-names.ts';
export type { FamilyName } from './trap/family-names.ts';
export { TrapSupervisor } from './trap/supervisor.ts';
export { installedTrap, letBegin, requireTrap, TrapUnavailableError, trapWords } from './trap/trap.ts';
export type { Installed } from './trap/trap.ts';
