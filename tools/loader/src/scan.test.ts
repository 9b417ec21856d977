import { isKernelError } from '@vdpalab/abi';
import { describe, expect, it } from 'vitest';
import { findBreaches, scanModule } from './scan.ts';

const found = (source: string, file = 'module.js'): readonly string[] => findBreaches(source, file).map((b) => `${b.line}:${b.column} ${b.specifier}`);

describe('the import fence', () => {
  it('lets abi, uapi, vring, own files and type imports through', () => {
    expect(found(`
      import { defineModule } from '@vdpalab/abi';
      import * as uapi from "@vdpalab/uapi";
      export { walk } from '@vdpalab/vring';
      import { x } from './x.js';
      import '../up.js';
      import type { VdpaDevice } from '@vdpalab/vdpa-core';
      const text = "import 'node:fs'"; // import 'node:fs'
    `, 'net/frame.ts')).toEqual([]);
  });

  it('finds every way to reach something else, with its line', () => {
    expect(found([
      "import fs from 'node:fs';",
      "import { vdpa } from '@vdpalab/vdpa-core';",
      "export * from '@vdpalab/vhost/header';",
      "  const a = await import('./own.js');",
      "const b = import('@vdpalab/' + 'abi');",
      'const c = import(`@vdpalab/${name}`);',
      "import '@vdpalab/abi/internal';",
      "import data from '/etc/passwd';",
      "import 'https://example.org/x.js';",
      'console.log(import.meta.url);',
      "import { y } from '../y.js';",
      "import { z } from './a/../../z.js';",
    ].join('\n'))).toEqual([
      '1:1 node:fs', '2:1 @vdpalab/vdpa-core', '3:1 @vdpalab/vhost/header', '4:19 ./own.js', "5:11 '@vdpalab/' + 'abi'",
      '6:11 @vdpalab/*', '7:1 @vdpalab/abi/internal', '8:1 /etc/passwd', '9:1 https://example.org/x.js', '10:13 import.meta',
      '11:1 ../y.js', '12:1 ./a/../../z.js',
    ]);
  });

  it('knows the folder a module may not leave from the path', () => {
    const up = "import '../x.js';";
    expect(found(up, 'vdpa-core/dist/module.js')).toEqual(['1:1 ../x.js']);
    expect(found("import '../../vhost/dist/module.js';", 'vdpa-core/dist/module.js')).toEqual(['1:1 ../../vhost/dist/module.js']);
    expect(found(up, 'vdpa-core/dist/net/frame.js')).toEqual([]);
    expect(found(up, 'src/module.ts')).toEqual(['1:1 ../x.js']);
  });

  it('refuses with file, line, specifier and what to do', () => {
    const scan = (source: string): string => {
      try {
        scanModule(source, 'module.js');
        return 'passes';
      } catch (e) {
        return isKernelError(e) ? `${e.errno} ${e.rule} ${e.message}` : String(e);
      }
    };
    expect(scan("import { a } from './a.js';\n")).toBe('passes');
    expect(scan("\n\nimport { vdpa } from '@vdpalab/vdpa-core';\nimport 'node:fs';")).toBe(
      "ENOEXEC module.scan.import module.js:3:1: '@vdpalab/vdpa-core': another module is reached by its symbols; import its types with import type (and 1 more)",
    );
    expect(scan('import {')).toContain('ENOEXEC module.scan.syntax module.js: not a module:');
  });
});
