#!/usr/bin/env node
// @ts-check
/**
 * Project references from package.json: `node tools/kbuild/src/sync.js [--check]`.
 *
 * Each package's tsconfig.json refers to the workspace packages in its `dependencies` and `devDependencies`,
 * and the root tsconfig.json to all packages. With `--check` nothing is written: the stale files are listed, exit 1.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { packages } from './workspace.js';

/**
 * What the tsconfig files should say.
 *
 * @param {string} root
 * @param {readonly import('./workspace.js').Package[]} pkgs
 * @returns {Map<string, string[]>} tsconfig path relative to the root -> reference paths
 * @throws Error when a package names a workspace package that does not exist
 */
export function wantedReferences(root, pkgs) {
  const dirOf = new Map(pkgs.map((p) => [p.name, p.dir]));
  const wanted = new Map([['tsconfig.json', pkgs.map((p) => `./${p.dir}`)]]);
  for (const pkg of pkgs) {
    const names = Object.keys({ ...pkg.dependencies, ...pkg.devDependencies }).filter((name) => name.startsWith('@vdpalab/'));
    const paths = names.map((name) => {
      const dir = dirOf.get(name);
      if (dir === undefined) throw new Error(`${pkg.dir}/package.json: no package ${name} in this workspace`);
      return relative(join(root, pkg.dir), join(root, dir));
    });
    wanted.set(`${pkg.dir}/tsconfig.json`, paths.sort());
  }
  return wanted;
}

/**
 * The file's text with these references; the rest of it stays.
 *
 * @param {string} text present text of a tsconfig.json, or '' to make the root's
 * @param {readonly string[]} paths
 */
export function withReferences(text, paths) {
  const json = text === '' ? { files: [] } : JSON.parse(text);
  json.references = paths.map((path) => ({ path }));
  return `${JSON.stringify(json, null, 2)}\n`;
}

/**
 * Write, or only find, the tsconfig files that differ from package.json.
 *
 * @param {string} root
 * @param {{ check: boolean }} options
 * @returns {string[]} stale files
 */
export function sync(root, { check }) {
  const stale = [];
  for (const [file, paths] of wantedReferences(root, packages(root))) {
    const path = join(root, file);
    const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
    /** @type {string[]} */
    const present = text === '' ? [] : (JSON.parse(text).references ?? []).map((/** @type {{ path: string }} */ r) => r.path);
    // Order carries no meaning: a file in another order is left as its author wrote it.
    if (text !== '' && [...present].sort().join('\n') === [...paths].sort().join('\n')) continue;
    stale.push(file);
    if (!check) writeFileSync(path, withReferences(text, paths));
  }
  return stale;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const root = resolve(fileURLToPath(import.meta.url), '../../../..');
  const check = process.argv.includes('--check');
  const stale = sync(root, { check });
  for (const file of stale) console.log(`${file}: references ${check ? 'differ from package.json' : 'written'}`);
  if (check && stale.length > 0) {
    console.error('Run "node tools/kbuild/src/sync.js".');
    process.exitCode = 1;
  }
}
