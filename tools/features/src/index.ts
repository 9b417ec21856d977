/**
 * Which passing test shows which feature row.
 *
 * @packageDocumentation
 */
export { covers, coversTranscript } from './covers.ts';
export { featureRows, isRowId } from './table.ts';
export type { FeatureRow, Priority, RowId } from './table.ts';
