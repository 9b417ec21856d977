/**
 * A handler of SIGBUS as machine code of x86-64: JavaScript cannot run where an access of its own is interrupted.
 *
 * An access to a guarded mapping finds zeros from its page to the mapping's end, and is told through an eventfd. Every
 * other SIGBUS goes to the handler that was there before, or ends the process as if there were none.
 */
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_EXEC, PROT_READ, SIGBUS } from '@vdpalab/uapi';
import { addressOf, checked, host, libc } from './host.ts';
import { mmap } from './mapping.ts';

/** Bytes of the table: some thousand mappings at once. */
const TABLE_SIZE = 0x2_0000;
/** Words of the table's head: what is added to the eventfd, the eventfd, the handler before; then SIG_DFL, four words. */
const ONE = 0;
const EVENTFD = 1;
const BEFORE = 2;
const HEAD = 8;
/** Words of an entry: first byte, end, mask to the start of a page, and whether the file was found cut; an end of 0 ends the table. */
const ENTRY = 4;
const START = 0;
const END = 1;
const MASK = 2;
const CUT = 3;

const SA_SIGINFO = 4n;
const SA_ONSTACK = 0x0800_0000n;
const SA_RESTART = 0x1000_0000n;
const SIG_IGN = 1n;
/** `struct sigaction` of the C library: handler, 128 bytes of mask, flags, restorer. */
const SIGACTION_WORDS = 19;
const SIGACTION_FLAGS = 17;

/** One instruction a line; `rsi` is the siginfo_t, and what is used of the registers comes back by sigreturn. */
const code = (table: bigint): string => `
  48 bb ${littleEndian(table)}   movabs rbx, table
  83 7e 08 02                    cmp    dword [rsi+8], BUS_ADRERR
  75 6b                          jne    other
  48 8b 7e 10                    mov    rdi, [rsi+16]          ; si_addr
  4c 8d 63 40                    lea    r12, [rbx+64]
scan:
  4d 8b 6c 24 08                 mov    r13, [r12+8]           ; end
  4d 85 ed                       test   r13, r13
  74 59                          jz     other
  4c 39 ef                       cmp    rdi, r13
  73 06                          jae    next
  49 3b 3c 24                    cmp    rdi, [r12]
  73 06                          jae    found
next:
  49 83 c4 20                    add    r12, 32
  eb e5                          jmp    scan
found:
  49 23 7c 24 10                 and    rdi, [r12+16]
  4c 89 ee                       mov    rsi, r13
  48 29 fe                       sub    rsi, rdi
  ba 03 00 00 00                 mov    edx, PROT_READ | PROT_WRITE
  41 ba 32 40 00 00              mov    r10d, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE
  49 c7 c0 ff ff ff ff           mov    r8, -1
  45 31 c9                       xor    r9d, r9d
  b8 09 00 00 00                 mov    eax, __NR_mmap
  0f 05                          syscall
  48 39 f8                       cmp    rax, rdi
  75 2c                          jne    fatal
  49 c7 44 24 18 01 00 00 00     mov    qword [r12+24], 1
  8b 7b 08                       mov    edi, [rbx+8]           ; eventfd
  48 89 de                       mov    rsi, rbx
  ba 08 00 00 00                 mov    edx, 8
  b8 01 00 00 00                 mov    eax, __NR_write
  0f 05                          syscall
  c3                             ret                           ; the access is repeated
other:
  48 8b 43 10                    mov    rax, [rbx+16]          ; the handler before
  48 85 c0                       test   rax, rax
  74 07                          jz     fatal
  bf 07 00 00 00                 mov    edi, SIGBUS
  ff e0                          jmp    rax
fatal:
  bf 07 00 00 00                 mov    edi, SIGBUS
  48 8d 73 18                    lea    rsi, [rbx+24]          ; SIG_DFL
  31 d2                          xor    edx, edx
  41 ba 08 00 00 00              mov    r10d, 8
  b8 0d 00 00 00                 mov    eax, __NR_rt_sigaction
  0f 05                          syscall
  b8 27 00 00 00                 mov    eax, __NR_getpid
  0f 05                          syscall
  89 c7                          mov    edi, eax
  be 07 00 00 00                 mov    esi, SIGBUS
  b8 3e 00 00 00                 mov    eax, __NR_kill
  0f 05                          syscall
  c3                             ret                           ; which it does not outlive
`;

function littleEndian(word: bigint): string {
  const bytes = new Uint8Array(new BigUint64Array([word]).buffer);
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

/** The bytes that stand before the mnemonics. */
function assemble(listing: string): Uint8Array {
  const bytes = listing.split('\n').flatMap((line) => /^ {2}((?:[0-9a-f]{2} )+)/.exec(line)?.[1]?.trim().split(' ') ?? []);
  return Uint8Array.from(bytes, (byte) => Number.parseInt(byte, 16));
}

const anonymous = (length: number): bigint => mmap(0n, length, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

/** Whether there is a handler for this processor. */
export const canHandleSigbus = process.platform === 'linux' && process.arch === 'x64';

/** The handler, installed for good: without entries in its table it changes nothing. */
export class SigbusHandler {
  readonly #table: BigUint64Array;

  /** @throws HostError what mmap, mprotect and sigaction say */
  constructor() {
    const table = anonymous(TABLE_SIZE);
    this.#table = new BigUint64Array(host().view(table, TABLE_SIZE));
    this.#table[ONE] = 1n;
    this.eventfd = -1;
    const bytes = assemble(code(table));
    const page = anonymous(bytes.length);
    new Uint8Array(host().view(page, bytes.length)).set(bytes);
    checked('mprotect', libc('int mprotect(uintptr_t addr, size_t length, int prot)')(page, bytes.length, PROT_READ | PROT_EXEC));
    const [action, before] = [new BigUint64Array(SIGACTION_WORDS), new BigUint64Array(SIGACTION_WORDS)];
    action[0] = page;
    action[SIGACTION_FLAGS] = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    const sigaction = libc('int sigaction(int signum, uintptr_t act, uintptr_t oldact)');
    checked('sigaction', sigaction(SIGBUS, 0n, addressOf(before)));
    this.#table[BEFORE] = before[0] === SIG_IGN ? 0n : before[0]!; // a fault is not ignored
    checked('sigaction', sigaction(SIGBUS, addressOf(action), 0n));
  }

  /** Is signalled when an access has found zeros; -1 for none. */
  set eventfd(fd: number) {
    this.#table[EVENTFD] = BigInt.asUintN(32, BigInt(fd));
  }

  /**
   * Guard `length` bytes at `address`, both whole pages of `page` bytes.
   *
   * @returns number of the entry
   * @throws RangeError when the table is full
   */
  add(address: bigint, length: number, page: number): number {
    const table = this.#table;
    let at = HEAD;
    while (table[at + END]! > 1n) at += ENTRY;
    if (at + 2 * ENTRY > table.length) throw new RangeError('the table of guarded mappings is full');
    table[at + START] = address;
    table[at + MASK] = BigInt.asUintN(64, -BigInt(page));
    table[at + CUT] = 0n;
    table[at + END] = address + BigInt(length);
    return at;
  }

  /** Whether an access to it has found zeros. */
  cut(entry: number): boolean {
    return this.#table[entry + CUT] !== 0n;
  }

  /** The entry is free: no address is below its end of 1, and the table goes on. */
  remove(entry: number): void {
    this.#table[entry + END] = 1n;
  }
}
