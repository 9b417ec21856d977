// The last line of CI, from vitest's own result: "N passed, N failed". Fails when nothing ran or something failed.
import { existsSync, readFileSync } from 'node:fs';

const file = 'out/vitest.json';
const result = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { numPassedTests: 0, numFailedTests: 0, testResults: [] };
// A file that could not even be loaded has no tests of its own to fail.
const unloaded = result.testResults.filter((f) => f.status === 'failed' && f.assertionResults.length === 0).length;
const failed = result.numFailedTests + unloaded;
if (!existsSync(file)) console.log('the checks before the tests failed; no test ran');
console.log(`${result.numPassedTests} passed, ${failed} failed`);
if (failed > 0 || result.numPassedTests === 0) process.exitCode = 1;
