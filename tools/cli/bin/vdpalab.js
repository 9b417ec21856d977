#!/usr/bin/env node
// npm links programs at install time, when nothing is built yet: this file is always there, dist/main.js is not.
import { existsSync } from 'node:fs';

const main = new URL('../dist/main.js', import.meta.url);
if (existsSync(main)) await import(main.href);
else {
  console.error('vdpalab: not built; run "npm run build"');
  process.exitCode = 2;
}
