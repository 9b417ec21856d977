import { AUDIT_ARCH_X86_64, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_LD, BPF_RET, SECCOMP_RET_ALLOW, SECCOMP_RET_USER_NOTIF, seccomp_data, sock_filter } from '@vdpalab/uapi';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { trapFilter, type TrapRule } from './seccomp-filter.ts';

/** What the kernel's interpreter returns for one call. */
function run(program: Uint8Array, call: { nr: number; arch?: number; args?: readonly bigint[] }): number {
  const args = Array.from({ length: 6 }, (_, i) => call.args?.[i] ?? 0n);
  const data = seccomp_data.encode({ nr: call.nr, arch: call.arch ?? AUDIT_ARCH_X86_64, args });
  const view = new DataView(data.buffer);
  let a = 0;
  for (let pc = 0; ; pc++) {
    const { code, jt, jf, k } = sock_filter.decode(program, pc * sock_filter.size);
    switch (code & 0x07) {
      case BPF_LD: a = view.getUint32(k, true); break;
      case BPF_RET: return k;
      case BPF_JMP:
        if ((code & 0xf0) === BPF_JEQ) pc += a === k ? jt : jf;
        else if ((code & 0xf0) === BPF_JGE) pc += a >= k ? jt : jf;
        else throw new Error(`jump ${code}`);
        break;
      default: throw new Error(`instruction ${code}`);
    }
  }
}

describe('trapFilter', () => {
  const rules: readonly TrapRule[] = [
    { nr: 41, when: [[{ arg: 0, in: [16] }, { arg: 2, in: [0, 16] }]] },
    { nr: 175 },
    { nr: 54, when: [[{ arg: 1, in: [270] }], [{ arg: 1, in: [1] }, { arg: 2, in: [20, 66] }]] },
  ];
  const program = trapFilter(rules);
  const trapped = (nr: number, ...args: number[]): boolean => run(program, { nr, args: args.map(BigInt) }) === SECCOMP_RET_USER_NOTIF;

  test('lets a ruled call wait whatever its arguments are', () => {
    expect(trapped(175)).toBe(true);
    expect(trapped(175, 1, 2, 3)).toBe(true);
    expect(trapped(176)).toBe(false);
  });

  test('asks all arguments of one alternative', () => {
    expect([trapped(41, 16, 3, 0), trapped(41, 16, 3, 16), trapped(41, 16, 3, 15), trapped(41, 2, 1, 16), trapped(41, 2, 1, 0)]).toEqual([true, true, false, false, false]);
    expect([trapped(54, 3, 270, 9), trapped(54, 3, 1, 20), trapped(54, 3, 1, 66), trapped(54, 3, 1, 7), trapped(54, 3, 6, 20)]).toEqual([true, true, true, false, false]);
  });

  test('looks at the lower 32 bits, as the kernel does with an int', () => {
    expect(run(program, { nr: 41, args: [0xdead_0000_0010n, 0n, 0xffff_ffff_0000_0000n] })).toBe(SECCOMP_RET_USER_NOTIF);
  });

  test('lets calls of other architectures and of x32 pass', () => {
    expect(run(program, { nr: 175, arch: 0x4000_0003 })).toBe(SECCOMP_RET_ALLOW);
    expect(run(program, { nr: 0x4000_0000 + 175 })).toBe(SECCOMP_RET_ALLOW);
    expect(run(program, { nr: -1 })).toBe(SECCOMP_RET_ALLOW);
  });

  test('decides as the rules say, for any rules and calls', () => {
    const value = fc.integer({ min: 0, max: 3 });
    const rule = fc.record({
      nr: fc.integer({ min: 0, max: 8 }),
      when: fc.option(fc.array(fc.array(fc.record({ arg: fc.integer({ min: 0, max: 5 }), in: fc.array(value, { minLength: 1, maxLength: 3 }) }), { maxLength: 3 }), { maxLength: 3 }), { nil: undefined }),
    });
    const set = fc.uniqueArray(rule, { selector: (r) => r.nr, maxLength: 6 });
    fc.assert(fc.property(set, fc.integer({ min: 0, max: 8 }), fc.array(value, { minLength: 6, maxLength: 6 }), (drawn, nr, args) => {
      const list: TrapRule[] = drawn.map((r) => (r.when === undefined ? { nr: r.nr } : { nr: r.nr, when: r.when }));
      const own = list.find((r) => r.nr === nr);
      const wanted = own !== undefined && (own.when === undefined || own.when.some((alternative) => alternative.every((t) => t.in.includes(args[t.arg]!))));
      expect(run(trapFilter(list), { nr, args: args.map(BigInt) }) === SECCOMP_RET_USER_NOTIF).toBe(wanted);
    }));
  });

  test('refuses what a jump cannot span', () => {
    const wide = Array.from({ length: 300 }, (_, i) => i);
    expect(() => trapFilter([{ nr: 1, when: [[{ arg: 0, in: wide }]] }])).toThrow(RangeError);
    expect(() => trapFilter(Array.from({ length: 3000 }, (_, nr) => ({ nr })))).toThrow('a filter of 6007 instructions, at most 4096');
  });
});
