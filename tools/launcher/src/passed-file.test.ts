import { closeSync, mkdtempSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostAvailable } from '@vdpalab/libc';
import { afterAll, describe, expect, it } from 'vitest';
import { openByHelper } from './passed-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'vdpalab-passed-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe.runIf(hostAvailable())('a file opened by a helper', () => {
  it('is this process\'s, to read and to write', async () => {
    const path = join(folder, "it's a file");
    writeFileSync(path, 'old');
    const fd = await openByHelper(path);
    writeSync(fd, 'new text');
    closeSync(fd);
    expect(readFileSync(path, 'utf8')).toBe('new text');
  });

  it('that cannot be opened is told of', async () => {
    await expect(openByHelper(join(folder, 'no', 'such'))).rejects.toThrow(/No such file or directory|nonexistent/);
  });
});
