/** Standard streams of a process of the lab whose other ends are a connection's. */
import { KernelError } from '@vdpalab/abi';
import type { FileOperations } from '@vdpalab/fs';
import type { Lab } from '@vdpalab/lab';
import type { Connection } from './connection.ts';
import { CHUNK, toBytes, toText } from './protocol.ts';

/** The three streams. Everything from outside enters the lab as a post. */
export interface HostStreams {
  readonly stdin: FileOperations;
  readonly stdout: FileOperations;
  readonly stderr: FileOperations;
  /** Bytes that the client sent; none: the end. From outside. */
  readonly feed: (text: string) => void;
  /** Wake whoever waits: there is room again, or the client is gone. From outside. */
  readonly stir: () => void;
}

/** Make the streams of one process. Standard input is asked for only when the process reads: what it leaves is the caller's. */
export function hostStreams(lab: Lab, connection: Connection): HostStreams {
  const wq = lab.symbol('init_waitqueue_head')('hosted');
  const nap = lab.symbol('wait_event_interruptible');
  const wake = lab.symbol('wake_up');
  let waiting: Uint8Array | null = null;
  let asked = false;

  const output = (tag: 'out' | 'err'): FileOperations => ({
    write: async (_file, bytes) => {
      await nap(wq, () => !connection.full, 'room in the connection', 'pipe_write');
      if (connection.ended) throw new KernelError('EPIPE', 'fs.pipe.readers', 'the caller is gone');
      for (let at = 0; at < bytes.length; at += CHUNK) {
        const text = toText(bytes.subarray(at, at + CHUNK));
        connection.send(tag === 'out' ? { out: text } : { err: text });
      }
      return bytes.length;
    },
  });

  return {
    stdin: {
      read: async (_file, len) => {
        if (len === 0 || connection.ended) return new Uint8Array(0);
        if (waiting === null && !asked) {
          asked = true;
          connection.send({ want: Math.min(len, CHUNK) });
        }
        await nap(wq, () => waiting !== null || connection.ended, 'data from the caller', 'pipe_read');
        const bytes = waiting ?? new Uint8Array(0);
        waiting = bytes.length > len ? bytes.subarray(len) : null;
        return bytes.subarray(0, len);
      },
    },
    stdout: output('out'),
    stderr: output('err'),
    feed: (text) => lab.hw.sched.post('hosted input', () => {
      if (!asked) return undefined; // nobody wanted any
      asked = false;
      waiting = toBytes(text);
      return wake(wq);
    }),
    stir: () => lab.hw.sched.post('hosted', () => wake(wq)),
  };
}
