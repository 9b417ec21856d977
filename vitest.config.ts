/**
 * One vitest run for the whole workspace: `npx vitest run` or `npx vitest run tools/NAME`.
 *
 * `@vdpalab/*` resolves to sources, so a test of one package needs no build of the others;
 * only a Lab loads what `tsc -b` built.
 */
import { defaultClientConditions, defaultServerConditions } from 'vite';
import { defineConfig } from 'vitest/config';

const SOURCE = 'vdpalab-source';

export default defineConfig({
  resolve: { conditions: [SOURCE, ...defaultClientConditions] },
  ssr: { resolve: { conditions: [SOURCE, ...defaultServerConditions] } },
  test: {
    include: ['{modules,tools,test}/**/src/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', 'out/**'],
    globals: false,
    // Two processes that keep their module cache: no package has module-level state, and start-up
    // is most of the cost of a small test file.
    pool: 'forks',
    isolate: false,
    maxWorkers: 2,
    maxConcurrency: 2,
    setupFiles: ['./tools/explain/src/dev/setup.ts', './test/src/support/property-seed.ts'],
    reporters: ['default', './tools/features/src/reporter.ts', './tools/explain/src/dev/reporter.ts', ...(process.env['CI'] === undefined ? [] : [['json', { outputFile: 'out/vitest.json' }] as const])],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    coverage: {
      provider: 'v8',
      include: ['{modules,tools}/*/src/**/*.{ts,js}'],
      exclude: ['**/*.test.ts', '**/header.ts', '**/testing/**'],
      reportsDirectory: 'coverage',
    },
  },
});
