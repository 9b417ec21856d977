// @ts-check
/** `npx nx g @vdpalab/kbuild:module NAME [--needs a,b] [--place drivers/x]`: a module that builds, loads and passes its own test. */
import { installPackagesTask } from '@nx/devkit';
import { parseAst } from 'rolldown/parseAst';
import { withReferences } from '../../sync.js';
import { moduleFiles } from './files.js';

/** @typedef {import('@nx/devkit').Tree} Tree */

/**
 * @param {Tree} tree
 * @param {{ name: string, needs?: string, place?: string, description?: string }} options
 * @returns {Promise<() => void>} installs the new workspace, so that it enters the lock file
 * @throws Error for a name that is taken or no package name, and for a needed module that does not exist
 */
export default async function moduleGenerator(tree, { name, needs = '', place = 'drivers/misc', description = '' }) {
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name)) throw new Error(`${name}: a package name is lower case with hyphens, such as eni-vdpa`);
  const dir = `modules/${name}`;
  if (tree.exists(`${dir}/package.json`)) throw new Error(`${dir} exists`);
  const needed = needs.split(',').map((need) => need.trim()).filter((need) => need !== '').map((need) => neededModule(tree, need));

  const files = moduleFiles({ name, place, description: description || `${name} (describe it in one line)`, needed });
  for (const [file, text] of Object.entries(files)) tree.write(`${dir}/${file}`, text);

  const root = tree.read('tsconfig.json', 'utf8') ?? '';
  /** @type {string[]} */
  const paths = (root === '' ? [] : JSON.parse(root).references ?? []).map((/** @type {{ path: string }} */ r) => r.path);
  const at = paths.findLastIndex((path) => path.startsWith('./modules/') && path < `./${dir}`) + 1;
  tree.write('tsconfig.json', withReferences(root, paths.toSpliced(at, 0, `./${dir}`)));

  return () => {
    installPackagesTask(tree, true);
    console.log(nextSteps(name));
  };
}

/**
 * What to type now.
 *
 * @param {string} name
 */
export function nextSteps(name) {
  return `
next:
  npm run build && npx vitest run modules/${name}/
  npx vdpalab explain -c 'modprobe ${name}' -c 'dmesg | tail -3'   load it, and see what it says
  npx vdpalab watch ${name}                                          load it again whenever a file of it is saved
  docs/guides/first-module.md`;
}

/**
 * A module the new one needs, with one of its symbols: what is declared as needed must be linked, too.
 *
 * @param {Tree} tree
 * @param {string} need
 */
function neededModule(tree, need) {
  const source = tree.read(`modules/${need}/src/module.ts`, 'utf8') ?? tree.read(`modules/${need}/src/header.ts`, 'utf8');
  if (source === null) {
    const said = packageOf(tree, need);
    throw new Error(`modules/${need}: no such package${said === undefined ? '' : `; the module ${need} is in the package ${said}`}`);
  }
  const symbol = firstExport(parseAst(source, { lang: 'ts' }));
  if (symbol === undefined) throw new Error(`modules/${need}: exports no symbol, so nothing can need it`);
  return { package: need, symbol };
}

/**
 * Package of the module that lsmod shows by this name.
 *
 * @param {Tree} tree
 * @param {string} module
 */
function packageOf(tree, module) {
  const says = `name: '${module.replaceAll('-', '_')}'`;
  return tree.children('modules').find((dir) => tree.read(`modules/${dir}/src/module.ts`, 'utf8')?.includes(says));
}

/**
 * First name listed under `exportsGpl` or `exports`, or first member of a header's `...Symbols` interface.
 *
 * @param {any} node
 * @returns {string | undefined}
 */
function firstExport(node) {
  if (node === null || typeof node !== 'object') return undefined;
  if (node.type === 'Property' && /^exports(Gpl)?$/.test(node.key?.name) && node.value.type === 'ArrayExpression') {
    const first = node.value.elements.find((/** @type {any} */ e) => e?.type === 'Literal');
    if (first !== undefined) return first.value;
  }
  if (node.type === 'TSInterfaceDeclaration' && node.id.name.endsWith('Symbols') && node.body.body.length > 0) return node.body.body[0].key.name;
  for (const key of Object.keys(node)) {
    const found = firstExport(node[key]);
    if (found !== undefined) return found;
  }
  return undefined;
}
