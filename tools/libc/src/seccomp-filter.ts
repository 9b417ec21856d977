/** Filters of system calls in classic BPF: which calls wait for an answer from user space. */
import {
  AUDIT_ARCH_X86_64, BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_MAXINSNS, BPF_RET, BPF_W, SECCOMP_RET_ALLOW, SECCOMP_RET_USER_NOTIF, seccomp_data,
  sock_filter,
} from '@vdpalab/uapi';

/** One argument, and the values that its lower 32 bits may have. */
export interface ArgumentTest {
  /** 0 to 5 */
  readonly arg: number;
  readonly in: readonly number[];
}

/** A system call that waits for an answer. */
export interface TrapRule {
  /** Its number on x86-64. */
  readonly nr: number;
  /** The call waits when all tests of one alternative hold; absent: always. */
  readonly when?: readonly (readonly ArgumentTest[])[];
}

/** Bit of the numbers of x32, whose calls pass. */
const X32_SYSCALL_BIT = 0x4000_0000;

interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

const load = (offset: number): Instruction => ({ code: BPF_LD | BPF_W | BPF_ABS, jt: 0, jf: 0, k: offset });
const jump = (test: number, k: number, jt: number, jf: number): Instruction => ({ code: BPF_JMP | test | BPF_K, jt, jf, k: k >>> 0 });
const answer = (k: number): Instruction => ({ code: BPF_RET | BPF_K, jt: 0, jf: 0, k });

/** Offset of an argument's lower half. */
const argOffset = (arg: number): number => seccomp_data.offsetof('args') + 8 * arg;

/** Tests of one alternative: falls through when all hold, and leaves past `after` further instructions when one does not. */
function tests(alternative: readonly ArgumentTest[], after: number): Instruction[] {
  let rest: Instruction[] = [];
  for (const { arg, in: values } of alternative.toReversed()) {
    const behind = rest.length + after;
    const compares = values.map((value, i) => {
      const left = values.length - 1 - i; // compares behind this one
      return jump(BPF_JEQ, value, left, left === 0 ? behind : 0);
    });
    rest = [load(argOffset(arg)), ...compares, ...rest];
  }
  return rest;
}

/** What is done once the number has matched: never falls through. */
function body(rule: TrapRule): Instruction[] {
  const notify = answer(SECCOMP_RET_USER_NOTIF);
  if (rule.when === undefined) return [notify];
  return [...rule.when.flatMap((alternative) => [...tests(alternative, 1), notify]), answer(SECCOMP_RET_ALLOW)];
}

/**
 * A program of `struct sock_filter` by which the ruled calls wait and all others pass, those of another architecture too.
 *
 * @param rules at most one per number
 * @throws RangeError when a jump or the program would be too long
 */
export function trapFilter(rules: readonly TrapRule[]): Uint8Array {
  const program = [
    load(seccomp_data.offsetof('arch')),
    jump(BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0),
    answer(SECCOMP_RET_ALLOW),
    load(seccomp_data.offsetof('nr')),
    jump(BPF_JGE, X32_SYSCALL_BIT, 0, 1),
    answer(SECCOMP_RET_ALLOW),
    ...rules.flatMap((rule) => {
      const then = body(rule);
      return [jump(BPF_JEQ, rule.nr, 0, then.length), ...then];
    }),
    answer(SECCOMP_RET_ALLOW),
  ];
  if (program.length > BPF_MAXINSNS) throw new RangeError(`a filter of ${program.length} instructions, at most ${BPF_MAXINSNS}`);
  const bytes = new Uint8Array(program.length * sock_filter.size);
  for (const [i, instruction] of program.entries()) {
    if (instruction.jt > 255 || instruction.jf > 255) throw new RangeError(`rule too long: a jump of ${Math.max(instruction.jt, instruction.jf)} instructions`);
    bytes.set(sock_filter.encode(instruction), i * sock_filter.size);
  }
  return bytes;
}
