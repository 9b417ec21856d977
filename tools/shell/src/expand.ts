/** Expansion of words: parameters, commands, arithmetic, word splitting, paths, quote removal. */
import { parse, type ArithmeticExpression, type ParameterExpansionPart, type ParsedScript, type Word, type WordPart } from 'unbash';
import { evaluate, evaluateText } from './arithmetic.ts';
import { expandBraces } from './brace.ts';
import { glob } from './glob.ts';
import { expandParameter, simpleParameter } from './parameter.ts';
import { isPattern, quotePattern } from './pattern.ts';
import { DiscardError, ShellError, type ShellState } from './state.ts';

/** A run of text with what may still happen to it. */
export interface Piece {
  readonly text: string;
  /** `quoted`: nothing more; `bare`: patterns count; `split`: word splitting and patterns; `break`: a new word begins. */
  readonly kind: 'quoted' | 'bare' | 'split' | 'break';
}

/** Runs the command of `$(...)`: its output, trailing newlines included. */
export type Substitute = (script: ParsedScript, source: string) => Promise<string>;

/** Expands words for one shell. */
export class Expander {
  readonly state: ShellState;
  readonly #substitute: Substitute;
  /** The source the nodes point into, for nested scripts. */
  readonly source: string;

  constructor(state: ShellState, source: string, substitute: Substitute) {
    this.state = state;
    this.source = source;
    this.#substitute = substitute;
  }

  /** The fields that words become as arguments. */
  async fields(words: readonly Word[]): Promise<string[]> {
    const out: string[] = [];
    for (const word of words) {
      for (const one of this.#braced(word)) out.push(...(await this.#paths(this.#split(await this.pieces(one)))));
    }
    return out;
  }

  /** One text: no splitting, no paths; assignments, `case`, here-strings, redirections' inner use. */
  async text(word: Word, assignment = false): Promise<string> {
    return joinPieces(await this.pieces(word, assignment));
  }

  /** A pattern: what was quoted is escaped. */
  async pattern(word: Word): Promise<string> {
    return (await this.pieces(word)).map(({ text, kind }) => (kind === 'quoted' ? quotePattern(text) : text)).join('');
  }

  /** A regular expression of `=~`, extended: what was quoted is literal. */
  async regExp(word: Word): Promise<string> {
    if (word.parts === undefined) return word.text;
    let out = '';
    for (const part of word.parts) {
      const bare = part.type === 'Literal' || part.type === 'Glob' || part.type === 'ExtendedGlob' || part.type === 'BraceExpansion';
      const text = bare ? part.text : joinPieces(await this.#part(part, false));
      const quoted = part.type === 'SingleQuoted' || part.type === 'DoubleQuoted' || part.type === 'AnsiCQuoted' || part.type === 'LocaleString';
      out += quoted ? text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&') : text;
    }
    return out;
  }

  /** The body of a here-document. @param strip whether leading tabs go, as with `<<-` */
  async body(parts: readonly WordPart[] | undefined, text: string, strip = false): Promise<string> {
    if (parts === undefined) return strip ? text.replace(/^\t+/gm, '') : text;
    if (strip) {
      const stripped = parts.map((part, i) => (part.type === 'Literal' ? { ...part, value: part.value.replace(i === 0 ? /(^|\n)\t+/g : /(\n)\t+/g, '$1') } : part));
      return joinPieces(await this.#parts(stripped, true));
    }
    return joinPieces(await this.#parts(parts, true));
  }

  /** The pieces of a word. */
  async pieces(word: Word, assignment = false): Promise<Piece[]> {
    if (word.parts === undefined) {
      const tilde = /^~([^/\\'"]*)(?=\/|$)/.exec(word.text);
      if (tilde !== null && tilde[1] === '') return [{ text: this.#home() + word.value.slice(1), kind: 'quoted' }];
      return [{ text: word.value, kind: 'quoted' }];
    }
    const first = word.parts[0];
    const pieces = await this.#parts(word.parts, false);
    if (first?.type === 'Literal' && /^~(\/|$)/.test(first.text)) pieces[0] = { text: this.#home() + pieces[0].text.slice(1), kind: 'quoted' };
    return assignment ? pieces.map((piece) => (piece.kind === 'split' ? { ...piece, kind: 'quoted' } : piece)) : pieces;
  }

  /** The value of an arithmetic expression. */
  async arithmetic(expression: ArithmeticExpression | undefined): Promise<bigint> {
    return evaluate(this.state, expression, (node) => this.#arithmeticText(node));
  }

  /** The value of a text as arithmetic. */
  async arithmeticText(text: string): Promise<bigint> {
    return evaluateText(this.state, text, (node) => this.#arithmeticText(node));
  }

  async #arithmeticText(node: ArithmeticExpression): Promise<string> {
    if (node.type === 'ArithmeticCommandExpansion') return node.script === undefined ? '' : this.#command(node.script);
    if (node.type !== 'ArithmeticWord') return '';
    return node.parts === undefined ? node.value : joinPieces(await this.#parts(node.parts, true));
  }

  async #parts(parts: readonly WordPart[], quoted: boolean): Promise<Piece[]> {
    const out: Piece[] = [];
    for (const part of parts) out.push(...(await this.#part(part, quoted)));
    return out;
  }

  async #part(part: WordPart, quoted: boolean): Promise<Piece[]> {
    switch (part.type) {
      case 'Literal':
        return [{ text: part.value, kind: 'quoted' }];
      case 'SingleQuoted':
      case 'AnsiCQuoted':
        return [{ text: part.value, kind: 'quoted' }];
      case 'DoubleQuoted':
      case 'LocaleString': {
        const inner = await this.#parts(part.parts, true);
        const lonelyAt = inner.length === 0 && part.parts.length === 1 && /^\$(@|\{@\}|\{\w+\[@\]\})$/.test(part.parts[0].text);
        return inner.length === 0 && !lonelyAt ? [{ text: '', kind: 'quoted' }] : inner;
      }
      case 'SimpleExpansion':
        return simpleParameter(this.state, part.text.slice(1), quoted);
      case 'ParameterExpansion':
        return this.#parameter(part, quoted);
      case 'CommandExpansion':
        return [{ text: part.script === undefined ? '' : await this.#command(part.script), kind: quoted ? 'quoted' : 'split' }];
      case 'ArithmeticExpansion':
        return [{ text: String(await this.#arithmeticPart(part)), kind: quoted ? 'quoted' : 'split' }];
      case 'ProcessSubstitution':
        throw new ShellError('process substitution is not supported');
      case 'Glob':
        if (part.parts !== undefined) {
          const inner = await this.#parts(part.parts, false);
          return [{ text: '[', kind: 'bare' }, ...inner.map(({ text }) => ({ text, kind: 'bare' as const })), { text: ']', kind: 'bare' }];
        }
        return [{ text: part.text, kind: 'bare' }];
      case 'ExtendedGlob':
      case 'BraceExpansion':
        return [{ text: part.text, kind: 'bare' }];
    }
  }

  async #arithmeticPart(part: WordPart & { type: 'ArithmeticExpansion' }): Promise<bigint> {
    try {
      return await (part.expression === undefined ? this.arithmeticText(part.text.replace(/^\$\(\(|\)\)$/g, '')) : this.arithmetic(part.expression));
    } catch (error) {
      throw error instanceof ShellError && !error.fatal ? new DiscardError(error.message) : error;
    }
  }

  async #parameter(part: ParameterExpansionPart, quoted: boolean): Promise<Piece[]> {
    return expandParameter(this, part, quoted);
  }

  /** Text of a word inside an expansion, keeping what may be split. */
  async operand(word: Word | undefined, quoted: boolean): Promise<Piece[]> {
    if (word === undefined) return [];
    const pieces = await this.pieces(word);
    if (quoted) return [{ text: joinPieces(pieces), kind: 'quoted' }];
    // Bare text of an operand is split as the result of the expansion; what it quotes is not.
    return word.parts === undefined && !/['"\\]/.test(word.text) ? pieces.map(({ text }) => ({ text, kind: 'split' as const })) : pieces;
  }

  async #command(script: ParsedScript): Promise<string> {
    const output = await this.#substitute(script, script.source ?? this.source);
    return output.replace(/\n+$/, '');
  }

  #home(): string {
    return this.state.get('HOME') ?? '/root';
  }

  #braced(word: Word): Word[] {
    const braces = word.parts?.some((part) => part.type === 'BraceExpansion') === true;
    if (!braces) return [word];
    return expandBraces(word.text).flatMap((text) => {
      const command = parse(`: ${text}`).commands[0]?.command;
      return command?.type === 'Command' ? command.suffix.filter((node): node is Word => node.type === 'Word') : [];
    });
  }

  /** Word splitting by IFS. */
  #split(pieces: readonly Piece[]): Piece[][] {
    const ifs = this.state.get('IFS') ?? ' \t\n';
    const fields: Piece[][] = [];
    let field: Piece[] | null = null;
    const end = (): void => {
      if (field !== null) fields.push(field);
      field = null;
    };
    for (const piece of pieces) {
      if (piece.kind === 'break') {
        end();
        continue;
      }
      if (piece.kind !== 'split' || ifs === '') {
        if (piece.kind !== 'split' || piece.text !== '') (field ??= []).push(piece);
        continue;
      }
      let run = '';
      let afterDelimiter = false;
      const flush = (): void => {
        if (run !== '') (field ??= []).push({ text: run, kind: 'bare' });
        run = '';
      };
      for (const char of piece.text) {
        if (!ifs.includes(char)) {
          run += char;
          afterDelimiter = false;
          continue;
        }
        flush();
        if (' \t\n'.includes(char)) end();
        else {
          if (field === null && !afterDelimiter && fields.length === 0) field = [];
          else if (field === null && afterDelimiter) field = [];
          end();
          afterDelimiter = true;
        }
      }
      flush();
    }
    end();
    return fields;
  }

  async #paths(fields: readonly Piece[][]): Promise<string[]> {
    const out: string[] = [];
    for (const field of fields) {
      const text = field.map((piece) => piece.text).join('');
      const active = !this.state.options.noglob && field.some((piece) => piece.kind === 'bare' && /[*?[+@!]/.test(piece.text));
      const pattern = active ? field.map((piece) => (piece.kind === 'bare' ? piece.text : quotePattern(piece.text))).join('') : '';
      const found = active && isPattern(pattern) ? await glob(this.state.p, pattern) : [];
      if (found.length > 0) out.push(...found);
      else out.push(text);
    }
    return out;
  }
}

/** Pieces as one text; what would begin a new word becomes a space. */
export function joinPieces(pieces: readonly Piece[]): string {
  return pieces.map((piece) => (piece.kind === 'break' ? ' ' : piece.text)).join('');
}
