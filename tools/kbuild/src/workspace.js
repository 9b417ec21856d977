// @ts-check
/** The packages of this workspace, as the files on disk say. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Folders that hold one package per entry, and single packages. */
const rooms = ['modules', 'tools'];
const singles = ['test'];

/**
 * @typedef {object} Package
 * @property {string} dir folder relative to the workspace root: `modules/vdpa-core`
 * @property {string} name `@vdpalab/vdpa-core`
 * @property {string} short last part of `dir`
 * @property {boolean} isModule whether it is a kernel module
 * @property {Record<string, string>} dependencies
 * @property {Record<string, string>} devDependencies
 * @property {string | null} types the `types` file of the package's entry, relative to `dir`
 * @property {string | null} linuxPath the `kbuild` field: directory, or file ending in `.ko`, below `kernel/`
 * @property {{ order?: string[], depends?: string[] }} modinfo the `modinfo` field: orders of the real .ko that the code does not tell
 */

/**
 * Every package with a tsconfig.json, sorted by folder.
 *
 * @param {string} root workspace root
 * @returns {Package[]}
 */
export function packages(root) {
  const dirs = [
    ...rooms.flatMap((room) => (existsSync(join(root, room)) ? readdirSync(join(root, room)).sort().map((entry) => `${room}/${entry}`) : [])),
    ...singles,
  ];
  return dirs
    .filter((dir) => existsSync(join(root, dir, 'package.json')) && existsSync(join(root, dir, 'tsconfig.json')))
    .map((dir) => readPackage(root, dir));
}

/**
 * @param {string} root
 * @param {string} dir
 * @returns {Package}
 */
function readPackage(root, dir) {
  const json = JSON.parse(readFileSync(join(root, dir, 'package.json'), 'utf8'));
  return {
    dir,
    name: json.name,
    short: /** @type {string} */ (dir.split('/').at(-1)),
    isModule: dir.startsWith('modules/'),
    dependencies: json.dependencies ?? {},
    devDependencies: json.devDependencies ?? {},
    types: json.exports?.['.']?.types ?? null,
    linuxPath: json.kbuild ?? null,
    modinfo: json.modinfo ?? {},
  };
}
