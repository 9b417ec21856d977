/** Why a call was refused, and what would have worked. */
export * from './command.ts';
export * from './explain.ts';
export * from './lab-view.ts';
export { exactRemedy, remedies, type Remedies, type Remedy } from './remedies/index.ts';
export { removalOrder } from './remedies/modules.ts';
export type { Rule, RuleRow, RuleRows } from './rule.ts';
export { findRule, ruleParts, type RulePart } from './table.ts';
export * from './tools-said.ts';
export type { DeviceNow, LabView, ModuleNow, OpenerNow } from './view.ts';
