/** `syslog(2)`: the kernel log that `dmesg -S` reads, answered by the lab. */
import type { HostProcesses } from '@vdpalab/fusefs';
import { formatLogTime, type Lab } from '@vdpalab/lab';
import type { TrapRule } from '@vdpalab/libc';
import { CAP_SYS_ADMIN, CAP_SYSLOG, EINVAL, EPERM, __NR_syslog } from '@vdpalab/uapi';
import type { Answer, CallFamily, TrappedCall } from './call.ts';
import { callerOf } from './caller.ts';
import { CallError } from './call-error.ts';

// Types of `include/linux/syslog.h`.
const SYSLOG_ACTION_CLOSE = 0;
const SYSLOG_ACTION_OPEN = 1;
const SYSLOG_ACTION_READ_ALL = 3;
const SYSLOG_ACTION_READ_CLEAR = 4;
const SYSLOG_ACTION_CLEAR = 5;
const SYSLOG_ACTION_SIZE_BUFFER = 10;

/** What SYSLOG_ACTION_SIZE_BUFFER says, in bytes: `CONFIG_LOG_BUF_SHIFT=17`. */
const LOG_BUF_LEN = 1 << 17;

export const logRules: readonly TrapRule[] = [{ nr: __NR_syslog }];

/** Reading and clearing; the console's level is nothing the lab has. */
export class LogCalls implements CallFamily {
  readonly #lab: Lab;
  readonly #processes: HostProcesses;

  constructor(lab: Lab, processes: HostProcesses) {
    this.#lab = lab;
    this.#processes = processes;
  }

  async answer(call: TrappedCall): Promise<Answer> {
    const { process: { proc } } = await callerOf(call, this.#processes);
    const [type, len] = [call.int(0), call.int(2)];
    if (type !== SYSLOG_ACTION_READ_ALL && type !== SYSLOG_ACTION_SIZE_BUFFER && !proc.cred.caps.has(CAP_SYSLOG) && !proc.cred.caps.has(CAP_SYS_ADMIN)) {
      throw new CallError(EPERM, 'CAP_SYSLOG is missing');
    }
    switch (type) {
      case SYSLOG_ACTION_CLOSE:
      case SYSLOG_ACTION_OPEN: return { value: 0 };
      case SYSLOG_ACTION_SIZE_BUFFER: return { value: LOG_BUF_LEN };
      case SYSLOG_ACTION_CLEAR:
        this.#lab.log.clear();
        return { value: 0 };
      case SYSLOG_ACTION_READ_ALL:
      case SYSLOG_ACTION_READ_CLEAR: {
        if (call.raw(1) === 0n || len < 0) throw new CallError(EINVAL, `a buffer of ${len} bytes`);
        const text = this.#text(len);
        call.memory.write(call.raw(1), text);
        if (type === SYSLOG_ACTION_READ_CLEAR) this.#lab.log.clear();
        return { value: text.length };
      }
      default: throw new CallError(EINVAL, `syslog type ${type}`);
    }
  }

  /** The newest records that fit whole, each line with its level and time. */
  #text(len: number): Uint8Array {
    const records: Buffer[] = [];
    let left = len;
    for (const { level, facility, at, text } of this.#lab.log.lines.toReversed()) {
      const head = `<${facility | level}>${formatLogTime(at)}`;
      const record = Buffer.from(text.split('\n').map((line) => `${head}${line}\n`).join(''));
      if (record.length > left) break;
      left -= record.length;
      records.push(record);
    }
    return Buffer.concat(records.reverse());
  }

  async close(): Promise<void> {}
}
