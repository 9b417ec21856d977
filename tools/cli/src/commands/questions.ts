/** What `vdpalab graph` answers about a module tree: ours as a lab file selects it. */
import { dirname } from 'node:path';
import {
  cycles, cyclesText, diff, diffText, impact, impactText, moduleGraph, symbols, symbolsText, unusedExports, unusedText, why, whyText,
  type ModuleGraph,
} from '@vdpalab/graph';
import { treeOf } from '@vdpalab/kmod';
import { labSchema, readLabFile, selectModules } from '@vdpalab/lab';

/** Which tree is asked, and how the answer is written. */
export interface QuestionOptions {
  /** Lab file whose `modules:` selects the tree. */
  readonly lab?: string;
  /** Built-in modules and the edges to them are part of the tree. */
  readonly builtin?: boolean;
  /** Softdeps count as needs. */
  readonly softdeps?: boolean;
  readonly json?: boolean;
}

/** A question about something that is not in the tree. */
export class QuestionError extends Error {}

/** The graph of the modules a lab file selects; of all without one. */
export async function graphFor(options: Pick<QuestionOptions, 'lab' | 'builtin'>): Promise<ModuleGraph> {
  const { lab, builtin = false } = options;
  const config = lab === undefined ? labSchema.parse({}) : readLabFile(lab);
  const selected = await selectModules(config, lab === undefined ? process.cwd() : dirname(lab));
  const infos = selected.map((m) => m.info).filter((info) => info.path?.startsWith('/') !== true); // those that depmod sees
  return moduleGraph(treeOf(infos, config.release), { builtin });
}

/** The answer as JSON where that was asked for, as text otherwise. */
function answer(options: QuestionOptions, data: unknown, text: () => string): string {
  return options.json === true ? `${JSON.stringify(data, null, 2)}\n` : text();
}

/** Names that are not in the tree become errors of the caller. */
function asked<T>(question: () => T): T {
  try {
    return question();
  } catch (error) {
    throw error instanceof RangeError ? new QuestionError(error.message) : error;
  }
}

/** `graph why FROM TO` */
export async function whyAnswer(from: string, to: string, options: QuestionOptions): Promise<string> {
  const graph = await graphFor(options);
  const found = asked(() => why(graph, from, to, options.softdeps));
  return answer(options, found, () => whyText(from, to, found));
}

/** `graph impact MODULE` */
export async function impactAnswer(module: string, options: QuestionOptions): Promise<string> {
  const graph = await graphFor(options);
  const found = asked(() => impact(graph, module));
  return answer(options, found, () => impactText(module, found));
}

/** `graph cycles` */
export async function cyclesAnswer(options: QuestionOptions): Promise<string> {
  const found = cycles(await graphFor(options), options.softdeps);
  return answer(options, found, () => cyclesText(found));
}

/** `graph symbols PATTERN` @throws QuestionError when no export matches */
export async function symbolsAnswer(pattern: string, options: QuestionOptions): Promise<string> {
  const found = symbols(await graphFor({ builtin: true, ...options }), pattern);
  if (found.length === 0) throw new QuestionError(`no module of this tree exports ${pattern}`);
  return answer(options, found, () => symbolsText(found));
}

/** `graph unused-exports` */
export async function unusedExportsAnswer(options: QuestionOptions): Promise<string> {
  const found = unusedExports(await graphFor(options));
  return answer(options, found, () => unusedText(found));
}

/** `graph diff LAB LAB`: the trees two lab files select. */
export async function diffAnswer(before: string, after: string, options: QuestionOptions): Promise<string> {
  const found = diff(await graphFor({ ...options, lab: before }), await graphFor({ ...options, lab: after }));
  return answer(options, found, () => diffText(found));
}
