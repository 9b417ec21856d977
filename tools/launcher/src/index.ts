/** Runs unmodified programs in a namespace in which the lab is the system. */
export { askDown, askStatus, attach, Call, runInLab } from './client.ts';
export { ownerOf } from './claim.ts';
export { enter, hasProgram, waitFor, type EnterOptions } from './enter.ts';
export { LauncherError } from './errors.ts';
export type { Answer, Entrance, LabStatus } from './protocol.ts';
export { labNames, labPaths, removeLabDir, runtimeRoot, type LabPaths } from './runtime-dir.ts';
export { serveLab, type RunningLab, type ServeOptions } from './serve.ts';
export { shimNames } from './shims.ts';
export { familyNames } from './trap/families.ts';
export type { FamilyName } from './trap/families.ts';
export { TrapSupervisor } from './trap/supervisor.ts';
export { createTrap, requireTrap, TrapUnavailableError } from './trap/trap.ts';
export type { Trap, TrapOptions } from './trap/trap.ts';
