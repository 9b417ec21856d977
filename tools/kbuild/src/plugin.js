// @ts-check
/**
 * nx plugin: every package with a tsconfig.json gets build, typecheck, lint, test and bench.
 *
 * nx draws its edges from package.json alone, so the declared graph and the linked graph stay independent.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { createNodesFromFiles } from '@nx/devkit';

const glob = '{modules/*,tools/*,test}/tsconfig.json';

/**
 * Packages whose tests load built modules by path, which nx cannot see. They are not made to depend on the modules:
 * the modules' tools would then depend on them in a circle. Their tests depend on the modules' builds instead.
 */
const loadsModules = /^(test|tools\/(lab|user|shell|cli|fusefs|vhost-user|launcher))$/;

const compiler = ['{workspaceRoot}/tsconfig.base.json', { externalDependencies: ['typescript'] }];

/**
 * Targets of one package.
 *
 * @param {string} dir folder relative to the workspace root
 * @param {readonly string[]} moduleProjects names of the projects under modules/
 * @param {boolean} hasBench whether the package has src/bench/main.ts
 * @returns {Record<string, import('@nx/devkit').TargetConfiguration>}
 */
export function targetsOf(dir, moduleProjects, hasBench) {
  const isModule = dir.startsWith('modules/');
  const modinfo = isModule ? ` && node tools/kbuild/src/modinfo.js ${dir}` : '';
  const needsModules = loadsModules.test(dir);
  return {
    build: {
      executor: 'nx:run-commands',
      options: { command: `tsc -b ${dir}${modinfo}`, cwd: '.' },
      cache: true,
      dependsOn: ['^build'],
      inputs: ['default', '^default', ...compiler, ...(isModule ? ['{workspaceRoot}/tools/kbuild/src/*.js'] : [])],
      outputs: ['{projectRoot}/dist'],
    },
    typecheck: { executor: 'nx:noop', dependsOn: ['build'] }, // tsc -b does both
    lint: {
      executor: 'nx:run-commands',
      options: { command: `oxlint --type-aware --deny-warnings ${dir}`, cwd: '.' },
      cache: true,
      dependsOn: ['^build'],
      inputs: ['default', '^default', '{workspaceRoot}/.oxlintrc.json', { externalDependencies: ['oxlint', 'oxlint-tsgolint'] }],
    },
    test: {
      executor: 'nx:run-commands',
      options: { command: `vitest run --passWithNoTests ${dir}/src/`, cwd: '.' },
      cache: true,
      dependsOn: needsModules ? ['^build', { projects: [...moduleProjects], target: 'build' }] : ['^build'],
      inputs: [
        'default',
        '^default',
        '{workspaceRoot}/vitest.config.ts',
        { externalDependencies: ['vitest', 'vite'] },
        // dist/ is ignored by git, so it can only be named as what a dependency puts out: modules/*/dist/**.
        ...(needsModules ? [{ dependentTasksOutputFiles: '**/dist/**', transitive: true }] : []),
      ],
    },
    ...(isModule ? {
      watch: { executor: 'nx:run-commands', options: { command: `node tools/cli/dist/main.js watch ${basename(dir)}`, cwd: '.' }, dependsOn: ['build', { projects: ['@vdpalab/cli'], target: 'build' }] },
    } : {}),
    bench: hasBench
      ? { executor: 'nx:run-commands', options: { command: `node ${dir}/dist/bench/main.js`, cwd: '.' }, dependsOn: ['build'] }
      : { executor: 'nx:noop' },
  };
}

/** @type {import('@nx/devkit').CreateNodesV2} */
export const createNodesV2 = [
  glob,
  (files, options, context) => {
    const nameOf = (/** @type {string} */ dir) => JSON.parse(readFileSync(join(context.workspaceRoot, dir, 'package.json'), 'utf8')).name;
    const moduleProjects = files.map((file) => dirname(file)).filter((dir) => dir.startsWith('modules/')).sort().map(nameOf);
    return createNodesFromFiles(
      (file) => {
        const dir = dirname(file);
        const hasBench = existsSync(join(context.workspaceRoot, dir, 'src/bench/main.ts'));
        return {
          projects: {
            [dir]: {
              name: nameOf(dir),
              root: dir,
              tags: [dir.startsWith('modules/') ? 'module' : 'tool'],
              targets: targetsOf(dir, moduleProjects, hasBench),
            },
          },
        };
      },
      files,
      options,
      context,
    );
  },
];
