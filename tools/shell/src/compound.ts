/** Compound commands: groups, conditions, loops, case, functions. */
import type { CommandNode, CompoundCommand, TestExpression, Word } from 'unbash';
import { regExpSource } from './applets/regexp.ts';
import type { Expander } from './expand.ts';
import { patternRegExp } from './pattern.ts';
import { redirect, restore, type Saved } from './redirect.ts';
import type { Shell } from './shell.ts';
import { DiscardError, Leave, ShellError } from './state.ts';
import { binaryTest, unaryTest } from './test-expression.ts';

/** Run a compound command; its status is left in the shell. */
export async function runCompound(shell: Shell, node: Exclude<CommandNode, { type: 'Command' }>): Promise<void> {
  const { state } = shell;
  const mayExec = shell.mayExec;
  shell.mayExec = false;
  shell.at = node.pos;
  switch (node.type) {
    case 'Redirected':
      await redirected(shell, node, mayExec);
      return;
    case 'Function':
      state.functions.set(node.name.text, { node, source: shell.source });
      state.status = 0;
      return;
    case 'BraceGroup':
      await shell.list(node.body);
      return;
    case 'Subshell': {
      if (mayExec) {
        await shell.list(node.body);
        return;
      }
      const child = await shell.child(shell.p.proc.comm, async () => {}, async (sub) => {
        await sub.list(node.body);
        return sub.state.status;
      });
      state.status = await shell.foreground(child, shell.source.slice(node.pos, node.end));
      return;
    }
    case 'If': {
      for (const { clause, then } of [node, ...node.elif]) {
        if (!(await shell.condition(clause))) continue;
        await shell.list(then);
        return;
      }
      state.status = 0;
      if (node.else !== undefined) await shell.list(node.else);
      return;
    }
    case 'While': {
      let status = 0;
      await loop(shell, async () => {
        if ((await shell.condition(node.clause)) !== (node.kind === 'while')) return false;
        await shell.list(node.body);
        status = state.status;
        return true;
      });
      state.status = state.status !== 0 && status === 0 ? 0 : status;
      return;
    }
    case 'For': {
      const words = node.wordlist === undefined ? [...state.positional] : await shell.expander().fields(node.wordlist);
      state.status = 0;
      const values = words.values();
      await loop(shell, async () => {
        const next = values.next();
        if (next.done === true) return false;
        state.set(node.name.text, next.value);
        await shell.list(node.body);
        return true;
      });
      return;
    }
    case 'ArithmeticFor': {
      const e = shell.expander();
      state.status = 0;
      if (node.initialize !== undefined) await e.arithmetic(node.initialize);
      let first = true;
      await loop(shell, async () => {
        if (!first && node.update !== undefined) await e.arithmetic(node.update);
        first = false;
        if (node.test !== undefined && (await e.arithmetic(node.test)) === 0n) return false;
        await shell.list(node.body);
        return true;
      });
      return;
    }
    case 'Case':
      await runCase(shell, node);
      return;
    case 'TestCommand':
      if (state.dialect === 'dash') throw new ShellError('[[: command not found', 127, false);
      state.status = (await test(shell, shell.expander(), node.expression)) ? 0 : 1;
      return;
    case 'ArithmeticCommand': {
      const e = shell.expander();
      try {
        const value = node.expression === undefined ? await e.arithmeticText(node.body) : await e.arithmetic(node.expression);
        state.status = value === 0n ? 1 : 0;
      } catch (error) {
        throw error instanceof ShellError && !error.fatal && !(error instanceof DiscardError) ? new ShellError(`((: ${error.message}`, 1, false) : error;
      }
      return;
    }
    default:
      throw new ShellError(`${node.type}: not supported`);
  }
}

/** Redirections around a compound command. A child of its own keeps no copy of what it redirects: a copy would hold a device open. */
async function redirected(shell: Shell, node: CommandNode & { type: 'Redirected' }, own: boolean): Promise<void> {
  const inChild = async (sub: Shell): Promise<number> => {
    await redirect(sub.expander(), node.redirects);
    sub.mayExec = true;
    await sub.command(node.command);
    return sub.state.status;
  };
  if (own) {
    await inChild(shell);
    return;
  }
  if (node.command.type === 'Subshell') {
    shell.state.status = await shell.foreground(await shell.child(shell.p.proc.comm, async () => {}, inChild), shell.source.slice(node.pos, node.end));
    return;
  }
  const e = shell.expander();
  const saved: Saved[] = [];
  try {
    await redirect(e, node.redirects, saved);
    await shell.command(node.command);
  } finally {
    await restore(e, saved);
  }
}

/** Run a body until it says false; `break` and `continue` end here. */
async function loop(shell: Shell, body: () => Promise<boolean>): Promise<void> {
  shell.state.loops++;
  try {
    for (;;) {
      try {
        if (!(await body())) return;
      } catch (error) {
        if (!(error instanceof Leave) || (error.kind !== 'break' && error.kind !== 'continue')) throw error;
        shell.state.status = 0;
        if (error.count > 1 && shell.state.loops > 1) {
          error.count--;
          throw error;
        }
        if (error.kind === 'break') return;
      }
    }
  } finally {
    shell.state.loops--;
  }
}

async function runCase(shell: Shell, node: CompoundCommand & { type: 'Case' }): Promise<void> {
  const e = shell.expander();
  const value = await e.text(node.word);
  shell.state.status = 0;
  let falls = false;
  for (const item of node.items) {
    if (!falls && !(await matchesAny(e, value, item.pattern))) continue;
    await shell.list(item.body);
    if (item.terminator !== ';&' && item.terminator !== ';;&') return;
    falls = item.terminator === ';&';
  }
}

async function matchesAny(e: Expander, value: string, patterns: readonly Word[]): Promise<boolean> {
  for (const pattern of patterns) if (patternRegExp(await e.pattern(pattern)).test(value)) return true;
  return false;
}

async function test(shell: Shell, e: Expander, node: TestExpression): Promise<boolean> {
  switch (node.type) {
    case 'TestGroup':
      return test(shell, e, node.expression);
    case 'TestNot':
      return (node.negations.length % 2 === 1) !== (await test(shell, e, node.operand));
    case 'TestLogical':
      for (const operand of node.operands) {
        if ((await test(shell, e, operand)) !== (node.operator === '&&')) return node.operator !== '&&';
      }
      return node.operator === '&&';
    case 'TestUnary':
      return unaryTest(shell, node.operator, await e.text(node.operand));
    case 'TestBinary': {
      const left = await e.text(node.left);
      if (node.operator === '==' || node.operator === '=') return patternRegExp(await e.pattern(node.right)).test(left);
      if (node.operator === '!=') return !patternRegExp(await e.pattern(node.right)).test(left);
      if (node.operator === '=~') {
        const match = new RegExp(regExpSource(await e.regExp(node.right), true)).exec(left);
        shell.state.set('BASH_REMATCH', match === null ? [] : [...match].map((group) => group ?? ''));
        return match !== null;
      }
      if (/^-(eq|ne|lt|le|gt|ge)$/.test(node.operator)) {
        const [a, b] = [await e.arithmeticText(left), await e.arithmeticText(await e.text(node.right))];
        return binaryTest(shell, String(a), node.operator, String(b));
      }
      return binaryTest(shell, left, node.operator, await e.text(node.right));
    }
  }
}
