/** The lab's tree through the host's own kernel, read and written by its own programs. */
import { KernelError } from '@vdpalab/abi';
import type { AttributeOps, DirNode, Node } from '@vdpalab/fs';
import { createLab } from '@vdpalab/lab';
import type { Lab } from '@vdpalab/lab';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Mounted } from './mount.ts';
import { mountLab } from './mount-lab.ts';
import { settleMounts } from './session.ts';
import { bash, emptyDirectory, needsFuse, reason, removeDirectory } from './testing/real.ts';

const bugs: string[] = [];
let lab: Lab;
let mounted: Mounted;
let dir: string;

/** A script with the mount as its working directory: `cd` in the child, never in the server. */
async function inside(script: string): Promise<{ stdout: string; stderr: string; status: number }> {
  const outcome = await bash(`cd "$1" && { ${script}\n}`, dir);
  return { ...outcome, stderr: outcome.stderr.replaceAll(/^bash: line \d+: /gm, 'bash: ') };
}

beforeAll(async () => {
  if (reason !== undefined) return;
  lab = await createLab({ clock: 'paced', config: { pci: { root_ports: [{ at: '00:01.0', bus: 7 }], functions: [{ at: '07:00.0', model: 'n3000', sriov: { total: 2 } }] } } });
  dir = emptyDirectory();
  mounted = await mountLab(lab, dir, { onBug: (text) => bugs.push(text) });
});

afterAll(async () => {
  if (reason !== undefined) return;
  await mounted.unmount();
  removeDirectory(dir); // fails when it is still mounted
  const left = [...await lab.close(), ...bugs];
  if (left.length > 0) throw new Error(left.join('\n'));
});

/** An attribute for one test. */
async function attribute(name: string, mode: number, ops: AttributeOps): Promise<Node> {
  return lab.kernel(async () => lab.symbol('kernfs_create_file')(lab.symbol('sysfs_root'), name, mode, ops));
}

async function remove(node: Node): Promise<void> {
  await lab.kernel(async () => lab.symbol('kernfs_remove')(node));
}

describe('reading', () => {
  test('attributes, links and directories are the lab\'s', async (context) => {
    needsFuse(context);
    const { stdout, stderr } = await inside(`
      cat sys/bus/pci/devices/0000:07:00.0/vendor proc/sys/kernel/osrelease
      readlink sys/bus/pci/devices/0000:07:00.0
      stat -c '%F %a %s %h' sys/bus/pci/devices/0000:07:00.0/{vendor,config,.} sys/bus/pci/devices/0000:07:00.0
      ls -U sys/bus/pci`);
    expect(stderr).toBe('');
    const names = await lab.user((p) => p.readdir('/sys/bus/pci'));
    expect(stdout.split('\n')).toEqual([
      '0x1af4', '6.1.0-vdpalab', '../../../devices/pci0000:00/0000:00:01.0/0000:07:00.0',
      'regular file 444 4096 1', 'regular file 644 4096 1', expect.stringMatching(/^directory 755 0 \d+$/), 'symbolic link 777 0 1',
      ...names.map(({ name }) => name), '',
    ]);
  });

  test('show runs again at each read from the start, and not at others', async (context) => {
    needsFuse(context);
    let shows = 0;
    const node = await attribute('counter', 0o444, { show: async () => `${++shows}\n` });
    const { stdout } = await inside(`exec 3<sys/counter; cat <&3; cat <&3; dd bs=1 count=1 status=none <sys/counter; cat sys/counter`);
    expect(stdout).toBe('1\n23\n');
    await remove(node);
  });
});

describe('refusals', () => {
  test('a store\'s errno reaches the shell, with the text of a real kernel', async (context) => {
    needsFuse(context);
    const node = await attribute('picky', 0o644, {
      show: async () => 'x\n',
      store: async (text) => {
        throw new KernelError(text.trim() as 'EBUSY', 'fs.attribute.no-store', 'on purpose');
      },
    });
    const { stdout, stderr } = await inside('for errno in EBUSY EINVAL ENODEV EPERM EEXIST; do echo $errno > sys/picky; echo $?; done');
    expect(stderr).toBe(['Device or resource busy', 'Invalid argument', 'No such device', 'Operation not permitted', 'File exists']
      .map((text) => `bash: echo: write error: ${text}\n`).join(''));
    expect(stdout).toBe('1\n1\n1\n1\n1\n');
    await remove(node);
  });

  test('root is refused what no show or store answers, and names in sysfs', async (context) => {
    needsFuse(context);
    const readOnly = await attribute('read_only', 0o444, { show: async () => 'x\n' });
    const writeOnly = await attribute('write_only', 0o200, { store: async () => {} });
    const { stderr } = await inside(`
      echo 1 > sys/read_only; cat sys/write_only; touch sys/new; mkdir sys/new; rm sys/read_only; ln -s a sys/link; echo > sys/none/x; : < sys/none`);
    expect(stderr.replaceAll(/[\u2018\u2019]/g, "'")).toBe([
      'bash: sys/read_only: Permission denied', 'cat: sys/write_only: Permission denied', "touch: cannot touch 'sys/new': Permission denied",
      "mkdir: cannot create directory 'sys/new': Operation not permitted", "rm: cannot remove 'sys/read_only': Operation not permitted",
      "ln: failed to create symbolic link 'sys/link': Operation not permitted", 'bash: sys/none/x: No such file or directory',
      'bash: sys/none: No such file or directory', '',
    ].join('\n'));
    await remove(readOnly);
    await remove(writeOnly);
  });
});

describe('files that are not attributes', () => {
  test('binary attributes are read and written at offsets, and resources cannot be mapped', async (context) => {
    needsFuse(context);
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const node = await lab.kernel(async () => lab.symbol('kernfs_create_bin_file')(lab.symbol('sysfs_root'), 'blob', 0o600, {
      size: bytes.length,
      read: async (pos, len) => bytes.slice(pos, pos + len),
      write: async (pos, data) => {
        bytes.set(data, pos);
        return data.length;
      },
    }));
    const { stdout, stderr } = await inside(`
      stat -c '%s %a' sys/blob
      dd if=sys/blob bs=4 skip=5 count=1 status=none | od -An -tu1
      printf ABCD | dd of=sys/blob bs=4 seek=2 conv=notrunc status=none
      dd if=sys/blob bs=1 skip=255 count=9 status=none | od -An -tu1
      dd if=sys/blob bs=300 status=none | wc -c
      printf x | dd of=sys/blob bs=1 seek=256 conv=notrunc status=none
      perl -e 'open F, "+<", "sys/bus/pci/devices/0000:07:00.0/resource0" or die "open: $!"; my $a = syscall(9, 0, 4096, 3, 1, fileno(F), 0); print "mmap: $!\\n"'`);
    expect(stdout.split('\n')).toEqual(['256 600', '  20  21  22  23', ' 255', '256', 'mmap: No such device', '']);
    expect(stderr).toBe("dd: error writing 'sys/blob': File too large\n");
    expect(new TextDecoder().decode(bytes.subarray(8, 12))).toBe('ABCD');
    await remove(node);
  });

  test('memory files behave as on any file system', async (context) => {
    needsFuse(context);
    const { stdout, stderr } = await inside(`
      cd tmp; umask 027; echo one > a; echo two >> a; cat a; stat -c '%a %U %s' a; truncate -s 2 a; cat a; echo; truncate -s 4 a; od -An -c a
      mkdir -p d/e; mv a d/b; ln -s b d/link; cat d/link; echo; readlink d/link; chown 7:8 d/b; chmod 4711 d/b; touch -d @1000 d/b; stat -c '%a %u %g %Y' d/b
      : > d/b; stat -c %s d/b; rm d/link d/b; rmdir d/e; ls d; rmdir d; dd if=/dev/zero of=big bs=100000 count=7 status=none; stat -c %s big; cksum < big; rm big; ls -A
      mknod fifo p; ln /dev/null hard; mkfifo f; mknod dev c 1 3; stat -c '%F' dev; rm dev; set -C; echo > x; echo > x; rm x`);
    expect(stdout.split('\n')).toEqual([
      'one', 'two', '640 root 8', 'on', '   o   n  \\0  \\0', 'on\0\0', 'b', '4711 7 8 1000', '0', '700000', (await bash('dd if=/dev/zero bs=100000 count=7 status=none | cksum')).stdout.trim(),
      'regular empty file', '',
    ]);
    expect(stderr.replaceAll(/[\u2018\u2019]/g, "'").split('\n')).toEqual([
      'mknod: fifo: Operation not permitted', expect.stringMatching(/^ln: .*(cross-device|Cross-device)/), "mkfifo: cannot create fifo 'f': Operation not permitted",
      'bash: x: cannot overwrite existing file', '',
    ]);
  });

  test('device nodes take ioctls as regular files, or are only shown', async (context) => {
    needsFuse(context);
    const calls: [number, number][] = [];
    const major = await lab.kernel(async () => {
      const number = lab.symbol('alloc_chrdev_region')('door', 0, 1);
      lab.symbol('cdev_add')(number, 0, {
        unlocked_ioctl: async (_file, cmd, arg) => {
          if (cmd >>> 8 !== 0xaf) throw new KernelError('ENOTTY', 'fs.ioctl.no-op', 'perl asks whether it is a terminal');
          calls.push([cmd, arg]);
          if (arg === 1) throw new KernelError('EBUSY', 'fs.ioctl.no-op', 'on purpose');
          return 42;
        },
        read: async (_file, len) => new TextEncoder().encode(`${len} `),
        write: async (_file, bytes) => bytes.length - 1,
      }, null, null);
      lab.symbol('devtmpfs_create_node')('door', number, 0, 0o600);
      return number;
    });
    const { stdout, stderr } = await inside(`
      stat -c '%F %a' dev/door
      perl -e 'open F, "+<", "dev/door" or die "open: $!"; for my $a (7, 1) { my $r = ioctl(F, 0xaf01, $a); print defined $r ? "$r\\n" : "$!\\n"; }
        sysread F, $b, 1000; print "$b\\n"; print syswrite(F, "x" x 72), "\\n"; print sysseek(F, 0, 0) ? "seeks" : "$!", "\\n"; $! = 0; syscall(17, fileno(F), $b, 1, 0); print "$!\\n"'`);
    expect(stderr).toBe('');
    expect(stdout.split('\n')).toEqual(['regular empty file 600', '42', 'Device or resource busy', '1000 ', '71', 'Illegal seek', 'Illegal seek', '']);
    expect(calls).toEqual([[0xaf01, 7], [0xaf01, 1]]);
    const other = emptyDirectory();
    const asDevices = await mountLab(lab, other, { devices: 'device' });
    expect((await bash('stat -c "%F %t:%T" "$1/dev/door"; : < "$1/dev/door"', other))).toMatchObject({
      stdout: `character special file ${major.toString(16)}:0\n`, stderr: expect.stringContaining('Permission denied'),
    });
    await asDevices.unmount();
    removeDirectory(other);
    await lab.kernel(async () => {
      lab.symbol('devtmpfs_delete_node')('door');
      lab.symbol('cdev_del')(major, 0);
      lab.symbol('unregister_chrdev_region')(major);
    });
  });
});

describe('the tree', () => {
  test('find, tree and ls go through all of it without an error', async (context) => {
    needsFuse(context);
    const { stdout, stderr, status } = await inside('find sys lib etc dev -printf "%y %p\\n"; ls -laR sys lib etc dev > /dev/null && tree sys | tail -n 1');
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(/\d+ directories, \d+ files\n$/);
    const walk = (node: Node, path: string): string[] => {
      const letter = { dir: 'd', file: 'f', link: 'l', chr: 'f', blk: 'f' }[node.kind];
      return [`${letter} ${path}`, ...(node.kind === 'dir' ? lab.symbol('iterate_dir')(node as DirNode).flatMap(({ name, node: child }) => walk(child, `${path}/${name}`)) : [])];
    };
    const lines = stdout.split('\n').slice(0, -2);
    const top = ['sys', 'lib', 'etc', 'dev'].flatMap((name) => walk(lab.symbol('kernfs_find')(lab.symbol('root_dir'), name) as Node, name)); // these exist
    expect(lines).toEqual(top);
  });

  test('a name that is removed while a process is in it is gone, and a new one of that name is another', async (context) => {
    needsFuse(context);
    const make = (text: string): Promise<Node> => lab.kernel(async () => {
      const dirNode = lab.symbol('kernfs_create_dir')(lab.symbol('sysfs_root'), 'device');
      lab.symbol('kernfs_create_file')(dirNode, 'attr', 0o444, { show: async () => text });
      return dirNode;
    });
    const first = await make('first\n');
    let inThere = (): void => {};
    const isInThere = new Promise<void>((resolve) => {
      inThere = resolve;
    });
    const gate = await attribute('gate', 0o200, { store: async () => inThere() });
    const script = inside('exec 3<sys/device/attr; cd sys/device; stat -c %h . ; echo > ../gate; until [ ! -e attr ]; do :; done; cat attr; cat <&3; ls -a; stat -c %h .; cat ../device/attr; cat "$1/sys/device/attr"');
    await isInThere;
    await remove(first);
    const second = await make('second\n');
    const { stdout, stderr } = await script;
    expect(stdout).toBe('2\n.\n..\n0\nsecond\nsecond\n');
    expect(stderr).toBe('cat: attr: No such file or directory\ncat: -: No such device\n');
    await remove(second);
    await remove(gate);
  });
});

describe('many at once', () => {
  test('a store that sleeps blocks its writer alone, and ends when it is woken', async (context) => {
    needsFuse(context);
    const wq = lab.symbol('init_waitqueue_head')('store');
    let open = false;
    const node = await attribute('slow', 0o200, { store: () => lab.symbol('wait_event')(wq, () => open, 'the test') });
    const writer = inside('echo 1 > sys/slow; echo written $?');
    while (wq.waiters.size === 0) await new Promise((resolve) => setImmediate(resolve));
    expect((await inside('cat proc/sys/kernel/ostype; ls sys/slow')).stdout).toBe('Linux\nsys/slow\n');
    open = true;
    await lab.kernel(async () => void lab.symbol('wake_up')(wq));
    expect((await writer).stdout).toBe('written 0\n');
    await remove(node);
  });

  test('a signal ends an interruptible read of one process with EINTR, and not that of another', async (context) => {
    needsFuse(context);
    const wq = lab.symbol('init_waitqueue_head')('read');
    let open = false;
    const node = await attribute('events', 0o444, {
      show: async () => {
        await lab.symbol('wait_event_interruptible')(wq, () => open, 'an event', 'test_read');
        return 'event\n';
      },
    });
    const patient = inside('cat sys/events');
    const hasty = inside(`perl -e '$SIG{ALRM} = sub {}; open F, "<", "sys/events" or die; alarm 1; my $n = sysread F, $b, 100; print defined $n ? "read\\n" : "$!\\n"'`);
    const killed = inside('timeout -s KILL 0.5 cat sys/events; echo $?');
    expect((await hasty).stdout).toBe('Interrupted system call\n');
    expect((await killed).stdout).toBe('137\n');
    expect(wq.waiters.size).toBe(1);
    open = true;
    await lab.kernel(async () => void lab.symbol('wake_up')(wq));
    expect((await patient).stdout).toBe('event\n');
    await remove(node);
  });

  test('poll tells of sysfs_notify: POLLPRI and POLLERR until the attribute is read again', async (context) => {
    needsFuse(context);
    let state = 'one\n';
    const node = await attribute('state', 0o444, { show: async () => state });
    const waiter = inside(`perl -e '
      use IO::Poll qw(POLLPRI POLLERR POLLIN); open F, "<", "sys/state" or die; my $p = IO::Poll->new; $p->mask(*F => POLLPRI | POLLERR);
      sysread F, $b, 99; print $b, $p->poll(0), "\\n"; $p->poll(10); print $p->events(*F) == (POLLPRI | POLLERR) ? "notified\\n" : "not\\n";
      sysseek F, 0, 0; sysread F, $b, 99; print $b, $p->poll(0), "\\n"'`);
    const watchers = (): number => lab.symbol('fs_leftovers')().filter((what) => what.includes('/sys/state')).length;
    while (watchers() === 0) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setTimeout(resolve, 300)); // until perl sleeps: nothing shows it
    state = 'two\n';
    await lab.kernel(async () => void lab.symbol('sysfs_notify')(node));
    expect((await waiter).stdout).toBe('one\n0\nnotified\ntwo\n0\n');
    await remove(node);
  });

  test('twelve processes read and write at a time, each gets its own', async (context) => {
    needsFuse(context);
    const texts = new Map<string, string>();
    const nodes = await Promise.all(Array.from({ length: 12 }, (_, i) => attribute(`own${i}`, 0o644, {
      show: async () => texts.get(`own${i}`) ?? '',
      store: async (text) => {
        await lab.symbol('msleep')(1);
        texts.set(`own${i}`, text);
      },
    })));
    const { stdout, stderr } = await inside(`
      for i in {0..11}; do (for n in {1..20}; do echo $i.$n > sys/own$i; read -r x < sys/own$i; [ "$x" = $i.$n ] || echo "$i: $x"; done) & done; wait; cat sys/own*`);
    expect(stderr).toBe('');
    expect(stdout.split('\n').sort()).toEqual(['', ...Array.from({ length: 12 }, (_, i) => `${i}.20`)].sort());
    for (const node of nodes) await remove(node);
  });
});

describe('who calls', () => {
  test('each process of the host is one of the lab, with its name and ids, until it ends', async (context) => {
    needsFuse(context);
    const before = (): number => lab.symbol('processes')().length;
    const { stdout } = await inside('cat proc/self/comm; (cat proc/self/comm) & wait; setpriv --reuid 1000 --regid 1000 --clear-groups cat proc/self/status | grep -E "Name|Uid|CapEff"; read -r pid rest < proc/self/stat; [ -d proc/$pid ] && echo found');
    expect(stdout).toBe('cat\ncat\nName:\tcat\nUid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\nfound\n');
    for (let i = 0; i < 200 && before() > 1; i++) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(lab.symbol('processes')().map(({ comm }) => comm)).toEqual(['fuse']);
  });

  test('users may what the mode bits say', async (context) => {
    needsFuse(context);
    const node = await attribute('root_only', 0o600, { show: async () => 'secret\n', store: async () => {} });
    const { stdout, stderr } = await inside('setpriv --reuid 1000 --regid 1000 --clear-groups bash -c "cat sys/root_only; echo > sys/root_only; cat proc/version >/dev/null && echo may; echo > tmp/mine; stat -c %u tmp/mine; rm etc/modprobe.d; rm tmp/mine"');
    expect(stdout).toBe('may\n1000\n');
    expect(stderr.replaceAll(/[\u2018\u2019]/g, "'").split('\n')).toEqual([
      'cat: sys/root_only: Permission denied', 'bash: sys/root_only: Permission denied', expect.stringContaining("rm: cannot remove 'etc/modprobe.d':"), '',
    ]);
    await remove(node);
  });

  test('an open file goes with every process that inherits it', async (context) => {
    needsFuse(context);
    const seen: string[] = [];
    const node = await attribute('log', 0o200, { store: async (text) => void seen.push(text.trim()) });
    await inside('exec 3>sys/log; echo parent >&3; (echo child >&3; bash -c "echo grandchild >&3"); echo again >&3');
    expect(seen).toEqual(['parent', 'child', 'grandchild', 'again']);
    await remove(node);
  });
});

describe('nothing goes wrong for long', () => {
  test('a last close that waits holds up the next open of that node, and settling only for a while', async (context) => {
    needsFuse(context);
    const wq = lab.symbol('init_waitqueue_head')('release');
    let opens = 0;
    let free = false;
    const major = await lab.kernel(async () => {
      const number = lab.symbol('alloc_chrdev_region')('slow', 0, 1);
      lab.symbol('cdev_add')(number, 0, {
        open: async () => {
          if (opens > 0) throw new KernelError('EBUSY', 'fs.open.going', 'opened once');
          opens++;
        },
        release: async () => {
          await lab.symbol('wait_event')(wq, () => free, 'the test');
          opens--;
        },
      }, null, null);
      lab.symbol('devtmpfs_create_node')('slow', number, 0, 0o600);
      return number;
    });
    expect(await inside('exec 3<dev/slow; : < dev/slow; exec 3<&-; echo closed')).toMatchObject({ stdout: 'closed\n', stderr: 'bash: dev/slow: Device or resource busy\n' });
    await settleMounts();
    expect(opens).toBe(1);
    const next = inside(': < dev/slow && echo opened');
    await new Promise((resolve) => setTimeout(resolve, 100));
    free = true;
    await lab.kernel(async () => void lab.symbol('wake_up')(wq));
    expect((await next)).toMatchObject({ stdout: 'opened\n', stderr: '' });
    await settleMounts();
    expect(opens).toBe(0);
    await lab.kernel(async () => {
      lab.symbol('devtmpfs_delete_node')('slow');
      lab.symbol('cdev_del')(major, 0);
      lab.symbol('unregister_chrdev_region')(major);
    });
  });

  test('a fault of a handler is EIO to its caller and a line to the server', async (context) => {
    needsFuse(context);
    const node = await attribute('faulty', 0o444, {
      show: async () => {
        throw new TypeError('a slip');
      },
    });
    const { stderr } = await inside('cat sys/faulty');
    expect(stderr).toBe('cat: sys/faulty: Input/output error\n');
    expect(bugs.splice(0)).toEqual([expect.stringMatching(/^fuse: request of kind 15: TypeError: a slip/)]);
    await remove(node);
  });

  test('a thousand opens, all held at a time, leave no file and no node behind', async (context) => {
    needsFuse(context);
    const { stdout } = await inside(`ulimit -n 4096; perl -e 'my @all; for (1 .. 1000) { open my $f, "<", "sys/bus/pci/devices/0000:07:00.0/vendor" or die "$_: $!"; push @all, $f } print scalar @all, "\\n"'; for i in {1..200}; do read -r x < sys/bus/pci/devices/0000:07:00.0/device; done`);
    expect(stdout).toBe('1000\n');
    await settleMounts();
    expect(lab.symbol('fs_leftovers')().filter((what) => what.startsWith('open file'))).toEqual([]);
  });
});
