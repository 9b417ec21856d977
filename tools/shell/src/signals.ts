/** Signals as programs name them, and statuses that tell of them. */
import * as uapi from '@vdpalab/uapi';

/** A signal's number, name without SIG, and text of strsignal(3). */
export interface SignalText {
  readonly number: number;
  readonly name: string;
  readonly text: string;
}

const table: readonly (readonly [name: string, text: string])[] = [
  ['HUP', 'Hangup'], ['INT', 'Interrupt'], ['QUIT', 'Quit'], ['ILL', 'Illegal instruction'], ['TRAP', 'Trace/breakpoint trap'], ['ABRT', 'Aborted'],
  ['BUS', 'Bus error'], ['FPE', 'Floating point exception'], ['KILL', 'Killed'], ['USR1', 'User defined signal 1'], ['SEGV', 'Segmentation fault'],
  ['USR2', 'User defined signal 2'], ['PIPE', 'Broken pipe'], ['ALRM', 'Alarm clock'], ['TERM', 'Terminated'], ['STKFLT', 'Stack fault'],
  ['CHLD', 'Child exited'], ['CONT', 'Continued'], ['STOP', 'Stopped (signal)'], ['TSTP', 'Stopped'], ['TTIN', 'Stopped (tty input)'],
  ['TTOU', 'Stopped (tty output)'], ['URG', 'Urgent I/O condition'], ['XCPU', 'CPU time limit exceeded'], ['XFSZ', 'File size limit exceeded'],
  ['VTALRM', 'Virtual timer expired'], ['PROF', 'Profiling timer expired'], ['WINCH', 'Window changed'], ['IO', 'I/O possible'], ['PWR', 'Power failure'],
  ['SYS', 'Bad system call'],
];

/** All signals, by number. */
export const signals: readonly SignalText[] = table.map(([name, text], i) => ({ number: i + 1, name, text }));

/** A signal by number. */
export function describeSignal(number: number): SignalText {
  return signals[number - 1] ?? { number, name: String(number), text: `Unknown signal ${number}` };
}

/** The signal a word names: `9`, `KILL`, `SIGKILL`, `kill`; 0 is none; `null` for no signal's name. */
export function signalNumber(word: string): number | null {
  if (/^\d+$/.test(word)) return Number(word) <= uapi.SIGSYS ? Number(word) : null;
  const name = word.toUpperCase().replace(/^SIG/, '');
  return signals.find((signal) => signal.name === name)?.number ?? null;
}

/** How a child that exits with this status is reported by wait4. */
export function waitStatus(exit: number): number {
  return (exit & 0xff) << 8;
}

/** `$?` of a child: its status, or 128 and the signal that ended it. */
export function exitStatus(wait: number): number {
  const signal = wait & 0x7f;
  return signal === 0 ? (wait >> 8) & 0xff : 128 + signal;
}
