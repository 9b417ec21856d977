import { expect, test } from 'vitest';
import { testShell } from './testing/shell-kernel.ts';

test('runs commands, pipes and redirections, and leaves no process or file behind', async () => {
  const { sh, kernel } = await testShell();
  const before = kernel.leftovers();
  expect(await sh('echo hello world')).toEqual({ stdout: 'hello world\n', stderr: '', status: 0 });
  expect(await sh('echo a > f; echo b >> f; cat < f | wc -l')).toEqual({ stdout: '2\n', stderr: '', status: 0 });
  expect(await sh('nosuch; echo $?')).toEqual({ stdout: '127\n', stderr: 'bash: nosuch: command not found\n', status: 0 });
  expect(await sh('x=$(cat f | (while read l; do echo $l; done; exit 3)); echo $? $x')).toEqual({ stdout: '3 a b\n', stderr: '', status: 0 });
  expect(kernel.leftovers()).toEqual(before);
});

test('a job in the background runs beside the shell, and wait gives its status', async () => {
  const { sh } = await testShell();
  const text = 'sleep 2 & Q=$!; (sleep 2; echo late; exit 4) & P=$!; sleep 1; cat /proc/$Q/stat | cut -d" " -f2,3; echo still: $(jobs -r | wc -l); wait $P; echo rc=$?; wait; jobs';
  expect(await sh(text)).toEqual({ stdout: '(sleep) S\nstill: 2\nlate\nrc=4\n', stderr: '', status: 0 });
});

test('a column of ps is as wide as asked, and cut but for the last', async () => {
  const { sh } = await testShell();
  const text = 'sleep 1 & sleep 0; for o in comm:8,args comm:2,args comm:2 wchan:x; do ps -C sleep -o $o; done; wait';
  expect(await sh(text)).toEqual({
    stdout: 'COMMAND  COMMAND\nsleep    sleep 1\nCOMMAND COMMAND\nsl sleep 1\nCOMMAND\nsleep\n', stderr: 'error: unknown user-defined format specifier "wchan:x"\n', status: 0,
  });
});

test('a store gets one line at a time from builtins', async () => {
  const { sh, kernel } = await testShell();
  const stores: string[] = [];
  kernel.k.proc_create('/proc/knob', 0o644, () => '', async (text) => void stores.push(text));
  await sh("printf 'a\\nb\\n' > /proc/knob; echo -n '' > /proc/knob; echo > /proc/knob; echo c | cat > /proc/knob; /bin/printf 'd\\ne\\n' > /proc/knob");
  expect(stores).toEqual(['a\n', 'b\n', '\n', 'c\n', 'd\ne\n']);
});

test.each([
  'sleep 2 9>&- &', '(sleep 2; :) 9>&- &', '{ sleep 2; :; } 9>&- &', 'f 9>&- &', 'read x 9>&- < p &', '{ (sleep 2; :) | cat; } 9>&- &', '(exec 9>&-; sleep 2; :) &',
])('a child that closes a descriptor for itself keeps no copy of it: %s', async (background) => {
  const { sh, kernel } = await testShell();
  let released = 0;
  kernel.k.alloc_chrdev_region('held', 240, 1);
  kernel.k.cdev_add(240, 0, { release: async () => void released++ }, null, null);
  kernel.k.devtmpfs_create_node('held', 240, 0, 0o600);
  kernel.k.proc_create('/proc/released', 0o444, () => `${released}\n`);
  const text = `f() { sleep 2; :; }; (sleep 2) > p; exec 9<>/dev/held; ${background} sleep 1; cat /proc/released; exec 9>&-; cat /proc/released; wait`;
  expect(await sh(text)).toMatchObject({ stdout: '0\n1\n', stderr: '' });
});

test('ulimit lowers for everybody, and raises with CAP_SYS_RESOURCE only', async () => {
  const { sh } = await testShell();
  expect(await sh('ulimit -l; ulimit -l unlimited; ulimit -l; ulimit -l 64')).toEqual({ stdout: '8192\nunlimited\n', stderr: '', status: 0 });
  const refused = 'bash: line 1: ulimit: max locked memory: cannot modify limit: Operation not permitted\n';
  const text = 'ulimit -l 64; setpriv --reuid 65534 bash -c "ulimit -l 65; echo \\$?; ulimit -l 63; ulimit -l"';
  expect(await sh(text)).toEqual({ stdout: '1\n63\n', stderr: refused, status: 0 });
});
