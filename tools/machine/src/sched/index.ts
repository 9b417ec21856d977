/** The deterministic scheduler. */
export type { DecisionKind } from './decisions.ts';
export type { Pacer } from './pacer.ts';
export { hostPacer } from './pacer.ts';
export type { Prng } from './prng.ts';
export { sfc32 } from './prng.ts';
export { describeRun, findCycle } from './report.ts';
export type { SchedulerOptions } from './scheduler.ts';
export { DeterministicScheduler, STEPS_MAX, YIELD_NS } from './scheduler.ts';
export type { Watched } from './watches.ts';
