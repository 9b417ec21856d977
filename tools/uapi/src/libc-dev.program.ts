/** The C program that prints what the installed headers say: one translation unit for each file here. */
import { ABSENT, MIRRORS } from './libc-dev.table.ts';
import type { Mirror } from './libc-dev.table.ts';
import type { AnyStruct } from './struct.ts';
import { isStruct } from './struct.ts';

/** C sources by file name. */
export type Sources = ReadonlyMap<string, string>;

const absent: ReadonlySet<string> = new Set(Object.values(ABSENT).flat());

/**
 * The program: prints `const NAME size value`, `text NAME value`, `struct NAME size align`,
 * `field STRUCT.FIELD offset size`, `strerror NUMBER text`, and `present NAME` for what should be absent.
 *
 * @param samples made-up structs to declare and measure as well
 */
export function headerProgram(samples: readonly AnyStruct[]): Sources {
  const sources = new Map<string, string>();
  for (const [name, mirror] of Object.entries(MIRRORS)) {
    sources.set(`check_${name}.c`, unit(`check_${name}`, mirror.includes, '', mirrorLines(mirror)));
  }
  const declarations = samples.map(declaration).join('\n');
  sources.set('check_samples.c', unit('check_samples', ['linux/types.h'], declarations, samples.flatMap(structLines)));
  sources.set('check_strerror.c', unit('check_strerror', ['string.h'], '', strerrorLines()));
  const units = [...sources.keys()].map((file) => file.replace(/\.c$/, ''));
  sources.set('main.c', main(units));
  return sources;
}

function mirrorLines(mirror: Mirror): string[] {
  return Object.entries(mirror.exports).flatMap(([name, value]) => {
    if (typeof value === 'function') return [];
    if (absent.has(name)) return [`#ifdef ${name}`, `printf("present ${name}\\n");`, '#endif'];
    if (isStruct(value)) return structLines(value);
    if (typeof value === 'string') return [`printf("text ${name} %s\\n", ${name});`];
    return [`printf("const ${name} %zu %lld\\n", sizeof(${name}), (long long)(${name}));`];
  });
}

function structLines(struct: AnyStruct): string[] {
  const tag = `struct ${struct.name}`;
  return [
    `printf("struct ${struct.name} %zu %zu\\n", sizeof(${tag}), _Alignof(${tag}));`,
    ...Object.keys(struct.fields).map((field) => {
      const member = `((${tag} *)0)->${field}`;
      return `printf("field ${struct.name}.${field} %zu %zu\\n", offsetof(${tag}, ${field}), sizeof(${member}));`;
    }),
  ];
}

/** C for a struct of this shape; only its sizes and alignments matter, so the element types are unsigned. */
function declaration(struct: AnyStruct): string {
  const members = Object.entries(struct.fields).map(([field, type]) => {
    const element = `__u${8 * type.align}`;
    const count = type.size / type.align;
    return `${element} ${field}${count === 1 ? '' : `[${count}]`};`;
  });
  const packed = struct.align === 1 ? ' __attribute__((packed))' : '';
  return `struct ${struct.name} { ${members.join(' ')} }${packed};`;
}

function strerrorLines(): string[] {
  return ['#ifdef __GLIBC__', 'for (int i = 0; i < 600; i++) printf("strerror %d %s\\n", i, strerror(i));', '#endif'];
}

function unit(name: string, includes: readonly string[], declarations: string, lines: readonly string[]): string {
  const headers = [...includes, 'stdio.h', 'stddef.h'].map((header) => `#include <${header}>`);
  return [...headers, declarations, `void ${name}(void);`, `void ${name}(void) {`, ...lines, '}', ''].join('\n');
}

function main(units: readonly string[]): string {
  return [
    ...units.map((name) => `void ${name}(void);`),
    'int main(void) {',
    ...units.map((name) => `${name}();`),
    'return 0; }',
    '',
  ].join('\n');
}
