/**
 * Vitest set-up: properties draw the same worlds at every run of CI, and others at every run elsewhere.
 *
 * `VDPALAB_SEED=N` draws those of one seed, as a failure prints it. Named in vitest.config.ts.
 */
import fc from 'fast-check';

const given = process.env['VDPALAB_SEED'];
if (given !== undefined && !/^-?\d+$/.test(given)) throw new Error(`VDPALAB_SEED: '${given}' is not a whole number`);
const seed = given === undefined ? (process.env['CI'] === undefined ? undefined : 1) : Number(given);
if (seed !== undefined) fc.configureGlobal({ seed });
