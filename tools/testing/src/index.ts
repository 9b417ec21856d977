/**
 * What tests of several packages share: claims on feature rows, fakes, a mock ring driver,
 * the tables of conformance suites.
 *
 * @packageDocumentation
 */
export { covers, coversTranscript } from '@vdpalab/features';
