import { describe, expect, test } from 'vitest';
import { targetsOf } from './plugin.js';

describe('targets', () => {
  test('of a module write its modinfo.json after the compiler', () => {
    expect(targetsOf('modules/vdpa-core', [], false)['build']?.options.command).toBe('tsc -b modules/vdpa-core && node tools/kbuild/src/modinfo.js modules/vdpa-core');
  });

  test.each(['test', 'tools/lab', 'tools/shell', 'tools/cli'])('of %s test again when any built module changes', (dir) => {
    const target = targetsOf(dir, ['@vdpalab/vdpa-core', '@vdpalab/vhost'], false)['test'];
    expect(target?.dependsOn).toContainEqual({ projects: ['@vdpalab/vdpa-core', '@vdpalab/vhost'], target: 'build' });
    expect(target?.inputs).toContainEqual({ dependentTasksOutputFiles: '**/dist/**', transitive: true });
  });

  test.each(['tools/loader', 'modules/vdpa-core'])('of %s do not depend on modules they do not declare', (dir) => {
    expect(targetsOf(dir, ['@vdpalab/vhost'], false)['test']?.dependsOn).toEqual(['^build']);
  });

  test('of a module can watch it in a lab', () => {
    expect(targetsOf('modules/vdpa-core', [], false)['watch']).toMatchObject({ options: { command: 'node tools/cli/dist/main.js watch vdpa-core' } });
  });

  test('exist for every package: build, typecheck, lint, test, bench', () => {
    expect(Object.keys(targetsOf('tools/abi', [], false))).toEqual(['build', 'typecheck', 'lint', 'test', 'bench']);
    expect(targetsOf('tools/vring', [], true)['bench']?.options.command).toBe('node tools/vring/dist/bench/main.js');
  });
});
