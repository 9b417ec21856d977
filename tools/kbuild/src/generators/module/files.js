// @ts-check
/** The files of a new module. */

/**
 * @typedef {object} NewModule
 * @property {string} name package name, with hyphens
 * @property {string} place Linux directory of the .ko
 * @property {string} description
 * @property {readonly { package: string, symbol: string }[]} needed modules it links to, with one symbol of each
 */

/**
 * @param {NewModule} module
 * @returns {Record<string, string>} file below the package's folder -> text
 */
export function moduleFiles(module) {
  return {
    'package.json': packageJson(module),
    'tsconfig.json': tsconfig(module),
    'README.md': readme(module),
    'src/header.ts': header(module),
    'src/module.ts': source(module),
    'src/module.test.ts': test(module),
  };
}

const linuxName = (/** @type {string} */ name) => name.replaceAll('-', '_');
const typeName = (/** @type {string} */ name) => name.split('-').map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`).join('');
const valueName = (/** @type {string} */ name) => name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());

/** @param {NewModule} module */
function packageJson({ name, description, place, needed }) {
  const dependencies = ['abi', ...needed.map((n) => n.package)].sort().map((dep) => [`@vdpalab/${dep}`, '0.1.0']);
  return `${JSON.stringify({
    name: `@vdpalab/${name}`,
    version: '0.1.0',
    description,
    private: true,
    type: 'module',
    license: 'Apache-2.0',
    exports: { '.': { types: './dist/header.d.ts' } },
    kbuild: place,
    dependencies: Object.fromEntries(dependencies),
    devDependencies: { '@vdpalab/testing': '0.1.0' },
  }, null, 2)}\n`;
}

/** @param {NewModule} module */
function tsconfig({ needed }) {
  const paths = ['../../tools/abi', '../../tools/testing', ...needed.map((n) => `../${n.package}`)].sort();
  return `${JSON.stringify({ extends: '../../tsconfig.base.json', references: paths.map((path) => ({ path })) }, null, 2)}\n`;
}

/** @param {NewModule} module */
function header({ name, description, needed }) {
  const symbol = `${linuxName(name)}_loaded`;
  return `/** ${description}. What other modules see of it: types and symbols, no values. */
${needed.map((n) => `export type {} from '@vdpalab/${n.package}'; // its symbols\n`).join('')}
/** Symbols of \`${linuxName(name)}\`. */
export interface ${typeName(name)}Symbols {
  /** Whether the module is in use. */
  ${symbol}: () => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends ${typeName(name)}Symbols {}
}
`;
}

/** @param {NewModule} module */
function source({ name, description, needed }) {
  const imports = ['_printk', ...needed.map((n) => n.symbol)];
  return `/** ${description}. Name the Linux 6.1 file it mirrors here. */
import { defineModule } from '@vdpalab/abi';

const KERN_INFO = 6;

export default defineModule({
  name: '${linuxName(name)}',
  license: 'GPL v2',
  description: '${description.replaceAll("'", "\\'")}',
  imports: [${imports.map((i) => `'${i}'`).join(', ')}],
  exportsGpl: ['${linuxName(name)}_loaded'],

  module_init(k, { undo }) {
    let loaded = true; // state is born here: a second load, and a second lab, start afresh
    undo.push('${linuxName(name)} state', () => {
      loaded = false;
    });
    k._printk(KERN_INFO, '${linuxName(name)}: loaded');
    return {
      ksymtab: { ${linuxName(name)}_loaded: () => loaded },
      module_exit: () => {
        k._printk(KERN_INFO, '${linuxName(name)}: unloaded');
      },
    };
  },
});
`;
}

/** @param {NewModule} module */
function test({ name, needed }) {
  const value = valueName(name);
  const unused = needed.map((n) => `\n    ${n.symbol}: unused('${n.symbol}'),`).join('');
  return `import { startModule${needed.length > 0 ? ', unused' : ''} } from '@vdpalab/testing';
import { expect, test } from 'vitest';
import ${value} from './module.ts';

test('says that it came and went, and leaves nothing behind', async () => {
  const log: string[] = [];
  const running = await startModule(${value}, {
    _printk: (_level, text) => {
      log.push(text);
      return undefined;
    },${unused}
  });
  expect(running.ksymtab.${linuxName(name)}_loaded()).toBe(true);
  await running.exit();
  expect(running.ksymtab.${linuxName(name)}_loaded()).toBe(false);
  expect(running.held()).toEqual([]);
  expect(log).toEqual(['${linuxName(name)}: loaded', '${linuxName(name)}: unloaded']);
});
`;
}

/** @param {NewModule} module */
function readme({ name, description, place, needed }) {
  return `# ${name}

${description}. The module's own name is \`${linuxName(name)}\`, as lsmod shows it; a module tree has it at \`kernel/${place}/${linuxName(name)}.ko\`.

**The real one.** What it does, in two or three sentences.

**Modelled.** ...

**Not modelled.** ...

**Symbols.** Exports \`${linuxName(name)}_loaded\`, an example: put what others may call in its place, or nothing. Needs ${needed.length === 0 ? 'nothing but the kernel image' : needed.map((n) => `\`${n.symbol}\` (${n.package})`).join(', ')}.

\`\`\`ts
const running = await startModule(${valueName(name)}, { /* its imports */ });
\`\`\`

**Sources.** Linux 6.1 \`file\`, function.
`;
}
