/**
 * What tests of several packages share: claims on feature rows, starting one module by hand, fakes,
 * a mock ring driver, the tables of conformance suites.
 *
 * @packageDocumentation
 */
export { covers, coversTranscript } from '@vdpalab/features';
export { startModule, unused } from './start-module.ts';
export type { RunningModule, Startable, Started } from './start-module.ts';
export { bootBuiltins } from './kernel/boot.ts';
export type { BootOptions, BootedKernel, Loadable, TestProcess } from './kernel/boot.ts';
