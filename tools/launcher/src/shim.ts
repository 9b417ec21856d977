/** `shim.js SOCKET PROGRAM [ARGUMENT...]`: what the programs that stand for the lab's run. Imports little: it starts often. */
import { runInLab } from './client.ts';
import { LauncherError } from './errors.ts';

const [socket = '', ...argv] = process.argv.slice(2);
try {
  if (argv.length === 0) throw new LauncherError('usage: lab PROGRAM [ARGUMENT...]');
  process.exitCode = await runInLab(socket, argv);
} catch (error) {
  if (!(error instanceof LauncherError)) throw error;
  process.stderr.write(`${argv[0] ?? 'lab'}: ${error.message}\n`);
  process.exitCode = error.status;
}
process.exit();
