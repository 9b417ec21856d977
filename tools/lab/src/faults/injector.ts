/**
 * Failure on purpose: the symbols that a module is handed are wrapped where they acquire something, and counted.
 *
 * One place for all modules: what a module acquires, it acquires by a symbol it imports. A lab without rules wraps
 * nothing, so that nothing is paid for it.
 */
import { KernelError, type ErrnoName, type ModuleView, type Task } from '@vdpalab/abi';
import { acquisitionOf, KIND_ERRNO, type Kind } from './acquire.ts';
import { OperationTable } from './operations.ts';
import { matches, parseFaultRule, type FaultRule } from './rule.ts';

/** Something a module asked for. */
export interface FaultStep {
  /** Linux name of the module that asks. */
  readonly module: string;
  /** The symbol it calls, the loader's step, or its own operation. */
  readonly what: string;
  readonly kind: Kind;
  /** Operations that run, outermost first: `init`, `probe`, `dev_add`. */
  readonly during: readonly string[];
}

/** A rule and what has come of it. */
export interface FaultState {
  readonly rule: FaultRule;
  /** Times something matched. */
  readonly seen: number;
  /** Times it was made to fail. */
  readonly failed: number;
}

type Func = (...args: readonly unknown[]) => unknown;

/** What the injector asks of its lab. */
export interface InjectorHost {
  readonly current: () => Task | null;
  readonly seed: number;
}

/** One lab's failures. */
export class FaultInjector {
  readonly #rules: { rule: FaultRule; seen: number; failed: number }[] = [];
  readonly #operations: OperationTable;
  #random: number;
  #steps: FaultStep[] | null = null;
  #decide: ((step: FaultStep) => ErrnoName | null) | null = null;

  constructor(host: InjectorHost, rules: readonly string[]) {
    this.#random = (host.seed ^ 0x5bd1e995) >>> 0;
    this.#operations = new OperationTable(host.current, (module, op) => this.#met({ module, what: op, kind: 'op', during: this.#during(module, false) }));
    for (const rule of rules) this.add(rule);
  }

  /** Rules in force, oldest first. */
  get rules(): readonly FaultState[] {
    return this.#rules.map((r) => ({ ...r }));
  }

  /** Put a rule in force; its count starts now. @throws FaultRuleError */
  add(text: string): void {
    this.#rules.push({ rule: parseFaultRule(text), seen: 0, failed: 0 });
  }

  /** Let nothing fail any more. */
  clear(): void {
    this.#rules.length = 0;
    this.#decide = null;
  }

  /** Note from now on what is asked for. @returns the list, which grows */
  record(): readonly FaultStep[] {
    this.#steps = [];
    return this.#steps;
  }

  /** Note nothing any more. */
  stop(): void {
    this.#steps = null;
  }

  /** Ask a function instead of rules what is to fail. */
  decide(decide: ((step: FaultStep) => ErrnoName | null) | null): void {
    this.#decide = decide;
  }

  /** The symbols to hand to a module in place of those it was linked with. */
  bind(module: ModuleView, linked: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    return Object.fromEntries(Object.entries(linked).map(([name, value]) => {
      const kind = typeof value === 'function' ? acquisitionOf(name) : null;
      return [name, kind === null ? value : this.#wrap(module, name, kind, value as Func)]; // just told to be a function
    }));
  }

  /** A step of the module loader. @throws KernelError when it is to fail */
  load(step: string, module: string): undefined {
    this.#met({ module, what: step, kind: 'load', during: ['load'] });
  }

  /** Give modules' operations back as they were. */
  close(): void {
    this.#operations.close();
  }

  #wrap(module: ModuleView, name: string, kind: Kind, symbol: Func): Func {
    return (...args) => {
      if (name === 'try_module_get') return this.#asks(module, name, kind) === null && symbol(...args);
      const error = this.#asks(module, name, kind);
      if (error !== null) throw error;
      for (const arg of args) this.#operations.adopt(module.name, arg);
      return symbol(...args);
    };
  }

  #asks(module: ModuleView, what: string, kind: Kind): KernelError | null {
    return this.#meets({ module: module.name, what, kind, during: this.#during(module.name, module.state === 'coming') });
  }

  #during(module: string, isInit: boolean): string[] {
    const open = this.#operations.open();
    return [...(isInit ? ['init'] : []), ...open.filter((o) => o.module === module || !isInit).map((o) => o.op)];
  }

  #met(step: FaultStep): undefined {
    const error = this.#meets(step);
    if (error !== null) throw error;
  }

  #meets(step: FaultStep): KernelError | null {
    this.#steps?.push(step);
    const decided = this.#decide?.(step) ?? null;
    if (decided !== null) return refusal(step, decided, 'this step');
    for (const state of this.#rules) {
      if (!covers(state.rule, step)) continue;
      state.seen++;
      if (!this.#isDue(state)) continue;
      state.failed++;
      return refusal(step, state.rule.errno ?? KIND_ERRNO[step.kind], `'${state.rule.text}' and this is number ${state.seen}`);
    }
    return null;
  }

  #isDue({ rule, seen, failed }: { readonly rule: FaultRule; readonly seen: number; readonly failed: number }): boolean {
    if (seen < rule.nth || (rule.times >= 0 && failed >= rule.times)) return false;
    const isTurn = rule.interval === 0 ? seen === rule.nth : (seen - rule.nth) % rule.interval === 0;
    return isTurn && (rule.probability === 100 || this.#percent() < rule.probability);
  }

  /** From 0 to 99, by the lab's seed. */
  #percent(): number {
    this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#random / 2 ** 32) * 100);
  }
}

function refusal(step: FaultStep, errno: ErrnoName, why: string): KernelError {
  const where = step.during.length === 0 ? '' : ` during ${step.during.join(' > ')}`;
  return new KernelError(errno, 'fault.injected', `${step.module}: ${step.what}${where} fails on purpose: asked for by ${why}`);
}

/** Whether a rule is about a step. */
function covers(rule: FaultRule, step: FaultStep): boolean {
  if (!matches(rule.module, step.module)) return false;
  if (rule.during !== null && !step.during.some((op) => matches(rule.during ?? '', op))) return false;
  if (step.kind === 'op') return rule.what.endsWith('()') && matches(rule.what.slice(0, -2), step.what);
  if (rule.what.endsWith('()')) return false;
  // A step of the loader is meant only by name and place: `load/init` is not what happens during init.
  if (step.kind === 'load') return rule.what === '*' || rule.what === 'load' || (rule.during !== null && matches(rule.what, step.what));
  return matches(rule.what, step.what) || rule.what === step.kind || step.during.includes(rule.what);
}
