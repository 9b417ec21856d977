/** What `test`, `[` and `[[` can ask. */
import { R_OK, W_OK, X_OK } from '@vdpalab/uapi';
import type { Shell } from './shell.ts';
import { byBytes } from './streams.ts';
import { errorText } from './system.ts';

/** Operators with one operand. */
export const UNARY = new Set(['-e', '-a', '-f', '-d', '-L', '-h', '-c', '-b', '-p', '-S', '-s', '-r', '-w', '-x', '-n', '-z', '-t', '-v', '-o', '-O', '-G', '-N', '-u', '-g', '-k']);
/** Operators with two operands. */
export const BINARY = new Set(['=', '==', '!=', '<', '>', '-eq', '-ne', '-lt', '-le', '-gt', '-ge', '-nt', '-ot', '-ef']);

/** `OPERATOR OPERAND` */
export async function unaryTest(shell: Shell, operator: string, operand: string): Promise<boolean> {
  const { p, state } = shell;
  switch (operator) {
    case '-n': return operand !== '';
    case '-z': return operand === '';
    case '-t': return false;
    case '-v': return state.vars.has(operand);
    case '-o': return operand === 'errexit' ? state.options.errexit : operand === 'nounset' && state.options.nounset;
    case '-r': return allowed(() => p.access(operand, R_OK));
    case '-w': return allowed(() => p.access(operand, W_OK));
    case '-x': return allowed(() => p.access(operand, X_OK));
    case '-L':
    case '-h': return (await looked(() => p.lstat(operand)))?.kind === 'link';
    default: {
      const stat = operand === '' ? null : await looked(() => p.stat(operand));
      if (stat === null) return false;
      switch (operator) {
        case '-f': return stat.kind === 'file';
        case '-d': return stat.kind === 'dir';
        case '-c': return stat.kind === 'chr';
        case '-b': return stat.kind === 'blk';
        case '-p': return stat.kind === 'fifo';
        case '-S': return stat.kind === 'sock';
        case '-s': return stat.size > 0;
        case '-O': return stat.uid === p.proc.cred.uid;
        case '-G': return stat.gid === p.proc.cred.gid;
        case '-e':
        case '-a': return true;
        default: return false;
      }
    }
  }
}

/** `LEFT OPERATOR RIGHT`; integers are decimal texts here. */
export async function binaryTest(shell: Shell, left: string, operator: string, right: string): Promise<boolean> {
  const { p } = shell;
  switch (operator) {
    case '=':
    case '==': return left === right;
    case '!=': return left !== right;
    case '<': return byBytes(left, right) < 0;
    case '>': return byBytes(left, right) > 0;
    case '-nt': return ((await looked(() => p.stat(left)))?.mtime ?? -1) > ((await looked(() => p.stat(right)))?.mtime ?? -1);
    case '-ot': return ((await looked(() => p.stat(left)))?.mtime ?? -1) < ((await looked(() => p.stat(right)))?.mtime ?? -1);
    case '-ef': {
      const [a, b] = [await looked(() => p.stat(left)), await looked(() => p.stat(right))];
      return a !== null && b !== null && a.ino === b.ino && a.kind === b.kind;
    }
    default: {
      const [a, b] = [BigInt(left), BigInt(right)];
      switch (operator) {
        case '-eq': return a === b;
        case '-ne': return a !== b;
        case '-lt': return a < b;
        case '-le': return a <= b;
        case '-gt': return a > b;
        default: return a >= b;
      }
    }
  }
}

async function looked<T>(call: () => Promise<T>): Promise<T | null> {
  try {
    return await call();
  } catch (error) {
    errorText(error); // only refusals mean "no"
    return null;
  }
}

async function allowed(call: () => Promise<void>): Promise<boolean> {
  return (await looked(async () => {
    await call();
    return true;
  })) ?? false;
}
