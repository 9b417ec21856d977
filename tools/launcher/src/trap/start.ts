#!/usr/bin/env node
/**
 * The program that becomes the command: `start.js CHANNEL FILTER COMMAND [ARG...]`.
 *
 * It installs the filter, tells the supervisor over the descriptor CHANNEL where the listener is, waits for it to be taken,
 * and executes the command. Nothing here may read standard input: that is the command's.
 */
import { readSync, writeSync } from 'node:fs';
import { addressOf, checked, HostError, installTrap, libc } from '@vdpalab/libc';

const F_SETFD = 2;
const FD_CLOEXEC = 1;
/** Node ignores these; an ignored signal stays so through execve. */
const IGNORED = [13, 25]; // SIGPIPE, SIGXFSZ
/** `EX_UNAVAILABLE`: what a shell says of a command it cannot execute, and of one it does not find. */
const [CANNOT_EXECUTE, NOT_FOUND, CANNOT_TRAP] = [126, 127, 2] as const;

const [channelText = '', filter = '', ...command] = process.argv.slice(2);
const channel = Number(channelText);

function complain(text: string, status: number): never {
  writeSync(2, `vdpalab: ${text}\n`);
  process.exit(status);
}

function trap(): void {
  const listener = installTrap(Buffer.from(filter, 'base64'));
  writeSync(channel, `${process.pid} ${listener}\n`);
  const answer = Buffer.alloc(1);
  if (readSync(channel, answer) !== 1) process.exit(CANNOT_TRAP); // whoever started this has said why
}

function execute(): never {
  const [file = ''] = command;
  const fcntl = libc('int fcntl(int fd, int cmd, long arg)');
  for (const fd of [0, 1, 2]) fcntl(fd, F_SETFD, 0); // Node has set it; a closed one stays closed
  checked('fcntl', fcntl(channel, F_SETFD, FD_CLOEXEC));
  for (const signal of IGNORED) libc('intptr_t signal(int number, intptr_t handler)')(signal, 0);
  const strings = command.map((word) => Buffer.from(`${word}\0`));
  const argv = new BigUint64Array([...strings.map(addressOf), 0n]);
  try {
    checked('execvp', libc('int execvp(const char *file, void *argv)')(file, new Uint8Array(argv.buffer)));
  } catch (error) {
    const isMissing = error instanceof HostError && error.errno === 'ENOENT';
    complain(`${file}: ${isMissing ? 'No such file or directory' : (error as Error).message}`, isMissing ? NOT_FOUND : CANNOT_EXECUTE);
  }
  throw new Error('execvp returned');
}

try {
  trap();
} catch (error) {
  complain((error as Error).message, CANNOT_TRAP);
}
execute();
