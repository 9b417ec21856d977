/** Parameters and what `${...}` does with them. */
import type { ParameterExpansionPart, ParameterOperation } from 'unbash';
import type { Expander, Piece } from './expand.ts';
import { patternRegExp, patternSource } from './pattern.ts';
import { ShellError, type ShellState } from './state.ts';

/** `$x`, `$1`, `$?`, `$@` ... */
export function simpleParameter(state: ShellState, name: string, quoted: boolean): Piece[] {
  const list = name === '@' || name === '*' ? state.positional : null;
  if (list !== null) return listPieces(state, list, name === '@', quoted);
  const value = parameterValue(state, name);
  if (value === undefined && state.options.nounset) throw new ShellError(`${name}: unbound variable`, 127);
  return value === undefined && quoted ? [{ text: '', kind: 'quoted' }] : [{ text: value ?? '', kind: quoted ? 'quoted' : 'split' }];
}

/** The value of a parameter by name, special ones included. */
export function parameterValue(state: ShellState, name: string): string | undefined {
  switch (name) {
    case '?': return String(state.status);
    case '#': return String(state.positional.length);
    case '$': return String(state.shellPid);
    case '!': return state.lastBackground === null ? undefined : String(state.lastBackground);
    case '-': return `h${state.options.errexit ? 'e' : ''}${state.options.nounset ? 'u' : ''}${state.options.xtrace ? 'x' : ''}B`;
    case '0': return state.name;
    case '@':
    case '*': return state.positional.length === 0 ? undefined : state.positional.join((state.get('IFS') ?? ' ').slice(0, 1));
    case 'BASHPID': return String(state.p.pid);
    case 'UID':
    case 'EUID': return String(state.p.proc.cred.uid);
    default: return /^\d+$/.test(name) ? state.positional[Number(name) - 1] : state.get(name);
  }
}

function listPieces(state: ShellState, list: readonly string[], at: boolean, quoted: boolean): Piece[] {
  if (quoted && !at) return [{ text: list.join((state.get('IFS') ?? ' ').slice(0, 1)), kind: 'quoted' }];
  return list.flatMap((text, i): Piece[] => [
    ...(i === 0 ? [] : [{ text: '', kind: 'break' as const }]), { text, kind: quoted ? 'quoted' : 'split' },
  ]);
}

/** `${...}` */
export async function expandParameter(e: Expander, part: ParameterExpansionPart, quoted: boolean): Promise<Piece[]> {
  const { state } = e;
  const kind = quoted ? 'quoted' as const : 'split' as const;
  const index = part.index?.text;
  const array = index === '@' || index === '*' ? arrayOf(state, part.parameter) : null;
  const list = array ?? (part.parameter === '@' || part.parameter === '*' ? state.positional : null);
  const at = index === undefined ? part.parameter === '@' : index === '@';
  if (part.prefix === '#') {
    return [{ text: String(list !== null ? list.length : [...(await value(e, part) ?? '')].length), kind }];
  }
  if (part.prefix === '!') return [{ text: indirect(state, part), kind }];
  if (list !== null && part.operation === undefined) return listPieces(state, list, at, quoted);
  if (list !== null && part.operation?.type === 'Slice') return listPieces(state, await sliceList(e, part.operation, list, index === undefined), at, quoted);
  if (list !== null && part.operation !== undefined && part.operation.type !== 'Default') {
    const each: string[] = [];
    for (const item of list) each.push(await transform(e, part.operation, item));
    return listPieces(state, each, at, quoted);
  }
  const current = await value(e, part);
  if (part.operation?.type === 'Default') return defaulted(e, part, part.operation, current, quoted);
  if (current === undefined && state.options.nounset) throw new ShellError(`${part.parameter}: unbound variable`, 127);
  return [{ text: part.operation === undefined ? current ?? '' : await transform(e, part.operation, current ?? ''), kind }];
}

function arrayOf(state: ShellState, name: string): readonly string[] {
  const value = state.vars.get(name)?.value;
  return value === undefined ? [] : typeof value === 'string' ? [value] : value.filter((item) => item !== undefined);
}

async function value(e: Expander, part: ParameterExpansionPart): Promise<string | undefined> {
  if (part.index === undefined) return parameterValue(e.state, part.parameter);
  const stored = e.state.vars.get(part.parameter)?.value;
  const at = Number(await e.arithmeticText(await e.text(part.index)));
  if (typeof stored === 'string') return at === 0 ? stored : undefined;
  return stored?.[at < 0 ? stored.length + at : at];
}

function indirect(state: ShellState, part: ParameterExpansionPart): string {
  if (part.operation?.type === 'Names') return [...state.vars.keys()].filter((name) => name.startsWith(part.parameter)).sort().join(' ');
  return parameterValue(state, parameterValue(state, part.parameter) ?? '') ?? '';
}

async function defaulted(
  e: Expander, part: ParameterExpansionPart, operation: ParameterOperation & { type: 'Default' }, current: string | undefined, quoted: boolean,
): Promise<Piece[]> {
  const { operator, operand } = operation;
  const missing = current === undefined || (operator.startsWith(':') && current === '');
  const own: Piece[] = [{ text: current ?? '', kind: quoted ? 'quoted' : 'split' }];
  switch (operator.slice(-1)) {
    case '+':
      return missing ? [{ text: '', kind: quoted ? 'quoted' : 'split' }] : e.operand(operand, quoted);
    case '-':
      return missing ? e.operand(operand, quoted) : own;
    case '=':
      if (!missing) return own;
      e.state.set(part.parameter, await e.text(operand));
      return [{ text: e.state.get(part.parameter) ?? '', kind: quoted ? 'quoted' : 'split' }];
    default: {
      if (!missing) return own;
      const text = await e.text(operand);
      throw new ShellError(`${part.parameter}: ${text === '' ? (operator === ':?' ? 'parameter null or not set' : 'parameter not set') : text}`, 127);
    }
  }
}

async function sliceList(
  e: Expander, operation: ParameterOperation & { type: 'Slice' }, list: readonly string[], positional: boolean,
): Promise<readonly string[]> {
  const all = positional ? [e.state.name, ...list] : list;
  const offset = Number(await e.arithmeticText(await e.text(operation.offset)));
  const from = offset < 0 ? all.length + offset : offset;
  const length = operation.length === undefined ? all.length : Number(await e.arithmeticText(await e.text(operation.length)));
  return all.slice(from, from + length);
}

async function transform(e: Expander, operation: ParameterOperation, text: string): Promise<string> {
  switch (operation.type) {
    case 'Remove':
      return remove(text, operation.operator, await e.pattern(operation.operand));
    case 'Replace':
      return replace(text, operation.operator, await e.pattern(operation.pattern), await e.text(operation.replacement));
    case 'Slice': {
      const chars = [...text];
      const offset = Number(await e.arithmeticText(await e.text(operation.offset)));
      const from = offset < 0 ? chars.length + offset : offset;
      if (from < 0) return '';
      const length = operation.length === undefined ? chars.length : Number(await e.arithmeticText(await e.text(operation.length)));
      return chars.slice(from, length < 0 ? length : from + length).join('');
    }
    case 'CaseModification': {
      const pattern = operation.operand === undefined ? '?' : await e.pattern(operation.operand);
      const re = patternRegExp(pattern === '' ? '?' : pattern);
      const change = (char: string): string => (re.test(char) ? (operation.operator.startsWith('^') ? char.toUpperCase() : char.toLowerCase()) : char);
      const chars = [...text];
      return operation.operator.length === 2 ? chars.map(change).join('') : chars.map((char, i) => (i === 0 ? change(char) : char)).join('');
    }
    case 'Transform':
      return operation.operand.text === 'Q' ? `'${text.replaceAll("'", "'\\''")}'`
        : operation.operand.text === 'U' ? text.toUpperCase() : operation.operand.text === 'L' ? text.toLowerCase() : text;
    default:
      throw new ShellError('bad substitution');
  }
}

function remove(text: string, operator: string, pattern: string): string {
  const greedy = operator.length === 2;
  if (operator.startsWith('#')) return text.replace(new RegExp(`^(?:${patternSource(pattern, true, greedy)})`, 's'), '');
  const re = patternRegExp(pattern);
  const places = Array.from({ length: text.length + 1 }, (_, i) => i);
  for (const at of greedy ? places : places.reverse()) if (re.test(text.slice(at))) return text.slice(0, at);
  return text;
}

function replace(text: string, operator: string, pattern: string, replacement: string): string {
  if (pattern === '') return text;
  const source = patternSource(pattern);
  const anchored = operator === '/#' ? `^(?:${source})` : operator === '/%' ? `(?:${source})$` : source;
  return text.replace(new RegExp(anchored, operator === '//' ? 'gs' : 's'), () => replacement);
}
