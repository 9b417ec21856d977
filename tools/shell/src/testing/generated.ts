/** Scripts made up from a grammar of what is safe to run anywhere: no loop without an end, no file outside the directory. */
import fc from 'fast-check';

const name = fc.constantFrom('x', 'y', 'z', 'list');
const file = fc.constantFrom('f', 'g', 'h');
const plain = fc.constantFrom('a', 'bc', '7', '-3', '0', 'a b', '*', '[f]', '', 'x=y', '~', '$', '\\', "it's", 'A', 'b  c', '10', 'f');

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
const quoted = plain.map(quote);
const parameter = fc.oneof(
  name.map((n) => `$${n}`), name.map((n) => `"$${n}"`), fc.tuple(name, fc.constantFrom(':-d', '-d', ':+s', '#a', '##*b', '%c', '%%b*', '/b/X', '//a/_', ':1', ':0:2', '^^', ',,')).map(([n, op]) => `"\${${n}${op}}"`),
  name.map((n) => `\${#${n}}`), fc.constantFrom('$#', '$?', '"$@"', '$*', '$0', '$1', '"${2-none}"'),
);
const number = fc.oneof(fc.integer({ min: -9, max: 99 }).map(String), fc.constantFrom('0x1f', '017', 'x', 'y', 'z+1'));
const arithmetic = fc.tuple(number, fc.constantFrom('+', '-', '*', '<', '>=', '==', '&', '|', '^', '<<', '&&', '||', ','), number, fc.constantFrom('+1', '*2', '>3', '?4:5', '')).map(([a, op, b, rest]) => `$(( (${a}) ${op} (${b}) ${rest} ))`);

interface Grammar {
  readonly word: string;
  readonly command: string;
}

const { command } = fc.letrec<Grammar>((tie) => {
  const inner = tie('command') as fc.Arbitrary<string>; // both are made below, of texts
  const part = tie('word') as fc.Arbitrary<string>;
  return {
  word: fc.oneof({ maxDepth: 2 }, quoted, parameter, arithmetic, fc.constantFrom('{a,b}c', '{1..3}', '[fg]', '?', 'no*such'), inner.map((c) => `"$( ${c} )"`), inner.map((c) => `$( ${c} )`)),
  command: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fc.array(part, { maxLength: 3 }).map((words) => `echo ${words.join(' ')}`),
    fc.tuple(fc.constantFrom('%s|', '<%s>\\n', '%5s.', '%-4s.', '%d\\n', '%x ', '%b', '%c,'), fc.array(part, { maxLength: 3 })).map(([format, words]) => `printf '${format}' ${words.join(' ')}`),
    fc.tuple(name, part).map(([n, word]) => `${n}=${word}`),
    fc.tuple(part, file, fc.constantFrom('>', '>>')).map(([word, f, op]) => `echo ${word} ${op}${f}`),
    file.map((f) => `cat ${f}`),
    fc.tuple(inner, fc.constantFrom('&&', '||', ';', '|', '|'), inner).map(([a, op, b]) => `{ ${a}; } ${op} { ${b}; }`),
    fc.tuple(inner, fc.constantFrom('cat -n', 'tr a-c A-C', 'sort', 'sort -r', 'wc -l', 'head -n 1', 'tail -n 1', 'cut -c1-3', 'sed s/a/X/g', "sed -n '$p'", 'grep -c .', 'grep -v a', 'rev', 'uniq -c', 'od -c', 'tac'))
      .map(([a, filter]) => `{ ${a}; } | ${filter}`),
    inner.map((c) => `( ${c} )`),
    inner.map((c) => `! { ${c}; }`),
    fc.tuple(part, fc.constantFrom('=', '!=', '-eq', '-lt'), part, inner, inner).map(([a, op, b, yes, no]) => `if [ ${a} ${op} ${b} ]; then ${yes}; else ${no}; fi`),
    fc.tuple(part, fc.constantFrom('==', '!=', '<'), part).map(([a, op, b]) => `[[ ${a} ${op} ${b} ]]`),
    fc.tuple(name, fc.array(part, { maxLength: 3 }), inner).map(([n, words, body]) => `for ${n} in ${words.join(' ')}; do ${body}; done`),
    fc.tuple(fc.integer({ min: 1, max: 3 }), inner, fc.constantFrom('', 'break; ', 'continue; ')).map(([n, body, leave]) => `for ((i=0;i<${n};i++)); do ${body}; ${leave}done`),
    fc.tuple(part, fc.constantFrom('a*', '[0-9]*', '"a b"|x', '*b*', '""'), inner, inner).map(([word, pattern, a, b]) => `case ${word} in ${pattern}) ${a};; *) ${b};; esac`),
    fc.tuple(inner, fc.array(part, { maxLength: 2 }), fc.integer({ min: 0, max: 3 })).map(([body, words, status]) => `fun() { local x=$1; ${body}; return ${status}; }; fun ${words.join(' ')}`),
    fc.tuple(part, inner).map(([word, c]) => `${c} <<< ${word}`.replace(/^(echo|printf|cat|\w+=)/, ': ; $1')),
    fc.constantFrom('true', 'false', 'set -- p "q r"', 'shift', 'unset x', 'nosuchcommand', 'cat nosuch', 'ls', 'test -f f', 'pwd >/dev/null', 'read x y <<< "1 2 3"', 'x+=t', 'let y=3', 'echo err >&2', 'set -f', 'set +f'),
    fc.tuple(inner, fc.constantFrom('2>/dev/null', '2>&1', '>g', '>/dev/null')).map(([c, redirection]) => `{ ${c}; } ${redirection}`),
    inner.map((c) => `eval ${quote(c)}`),
    inner.map((c) => `{ ${c}; } & wait`),
  ),
  };
});

/** A few commands in a row, with their status at the end. */
export const script: fc.Arbitrary<string> = fc.array(command, { minLength: 1, maxLength: 4 }).map((commands) => `x=abc; y=2; set -- one "two three"\n${commands.join('\n')}\necho "[$?]"`);
