#!/usr/bin/env node
/** The `vdpalab` command. */
import { commandLine } from './command-line.ts';

/** 128 + SIGPIPE: how a program ends whose reader, such as `head`, has seen enough. */
const READER_GONE = 141;

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(READER_GONE);
  throw error;
});

await commandLine(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  input: process.stdin,
  exit: (status) => { process.exitCode = status; },
});
