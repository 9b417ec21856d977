/** /dev/kmsg of a lab, read and written by processes of the host: system calls one by one, and util-linux's dmesg. */
import { O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, POLLERR, POLLIN, POLLPRI, SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_SET } from '@vdpalab/uapi';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { Host, needsEntry } from './cli.ts';
import { mountedLab, needsReal } from './mounted-lab.ts';
import { RealProcess } from './real-process.ts';
import { whyNoTrap } from './trapped.ts';

const SIZE = 8191; // as dmesg has it
const noTrap = whyNoTrap(['dmesg', '-V']);

describe('a process of the host', () => {
  test('reads records, seeks, polls and writes', async (context) => {
    needsReal(context);
    const { lab, dir, sh, program, close } = await mountedLab({ config: { iommu: false, memory: '64M' } }, []);
    const p = await RealProcess.start(program('syscalls.c'), dir);
    const fd = await p.open('/dev/kmsg', O_RDONLY | O_NONBLOCK);
    const read = async (size = SIZE): Promise<string> => new TextDecoder().decode(await p.read(fd, size));
    const first = await read();
    expect(first).toMatch(/^5,0,\d+,-;Linux version .*\n$/);
    expect(await read()).toMatch(/^6,1,\d+,-;Command line: /);
    expect(await p.lseek(fd, 0, SEEK_SET)).toBe(0);
    expect(await read()).toBe(first);
    expect(await p.lseek(fd, 0, SEEK_END)).toBe(0);
    await expect(read()).rejects.toMatchObject({ errno: 'EAGAIN' });
    expect(await p.poll(fd, POLLIN, 0)).toBe(0);
    await expect(p.lseek(fd, 1, SEEK_DATA)).rejects.toMatchObject({ errno: 'ESPIPE' });

    const written = await p.open('/dev/kmsg', O_WRONLY);
    expect(await p.write(written, '<12>from a process\n')).toBe(19);
    expect(await p.poll(fd, POLLIN, 30_000)).toBe(POLLIN);
    expect(await read()).toMatch(/^12,\d+,\d+,-;from a process\n$/);
    await p.write(written, 'too long');
    await expect(read(10)).rejects.toMatchObject({ errno: 'EINVAL' });
    await expect(read()).rejects.toMatchObject({ errno: 'EAGAIN' });
    await expect(p.write(written, 'x'.repeat(993))).rejects.toMatchObject({ errno: 'EINVAL' });
    await p.close(written);

    await sh('dmesg -C');
    await sh('echo "<6>after it" > /dev/kmsg');
    expect(await p.lseek(fd, 0, SEEK_DATA)).toBe(0);
    expect(await read()).toMatch(/^14,\d+,\d+,-;after it\n$/);
    await p.close(fd);

    const both = await p.open('/dev/kmsg', O_RDWR); // what is written moves no position
    await p.write(both, 'one');
    expect(new TextDecoder().decode(await p.read(both, SIZE))).toBe(first);
    const { next } = lab.hw.log;
    for (let i = 0; i < 65_536; i++) lab.hw.machine.console(6, 0, `${i}`);
    expect(await p.poll(both, POLLIN | POLLPRI, 0)).toBe(POLLIN | POLLPRI | POLLERR);
    await expect(p.read(both, SIZE)).rejects.toMatchObject({ errno: 'EPIPE' });
    expect(new TextDecoder().decode(await p.read(both, SIZE))).toMatch(new RegExp(`^6,${next},\\d+,-;0\n$`));
    await p.close(both);
    await p.end();
    expect(await close()).toEqual([]);
  }, 120_000);

  test('that waits for a record gets it, and can be killed', async (context) => {
    needsReal(context);
    const { dir, sh, program, close } = await mountedLab({ config: { iommu: false, memory: '64M' } }, []);
    const p = await RealProcess.start(program('syscalls.c'), dir);
    const fd = await p.open('/dev/kmsg', O_RDONLY);
    await p.lseek(fd, 0, SEEK_END);
    const waiting = p.read(fd, SIZE);
    await sh('echo "<3>at last" > /dev/kmsg');
    expect(new TextDecoder().decode(await waiting)).toMatch(/^11,\d+,\d+,-;at last\n$/);
    const lost = p.read(fd, SIZE);
    lost.catch(() => {});
    await p.kill();
    await expect(lost).rejects.toThrow('the process has ended');
    expect(await close()).toEqual([]);
  }, 120_000);

  test('seeks in other files as ever', async (context) => {
    needsReal(context);
    const { dir, program, close } = await mountedLab({ config: { iommu: false, memory: '64M' } }, []);
    const p = await RealProcess.start(program('syscalls.c'), dir);
    const fd = await p.open('/sys/kernel/uevent_seqnum', O_RDONLY);
    const size = await p.lseek(fd, 0, SEEK_END);
    expect(await p.lseek(fd, 3, SEEK_DATA)).toBe(3);
    expect(await p.lseek(fd, 0, SEEK_CUR)).toBe(3);
    expect(await p.lseek(fd, 3, 4)).toBe(size); // SEEK_HOLE
    await expect(p.lseek(fd, size, SEEK_DATA)).rejects.toMatchObject({ errno: 'ENXIO' });
    await p.close(fd);
    await p.end();
    expect(await close()).toEqual([]);
  }, 120_000);
});

describe('the host\'s dmesg', { timeout: 120_000 }, () => {
  const host = new Host();
  afterEach(() => host.settled());
  afterAll(() => host.close());

  test('shows, clears and follows the log of the lab', async (context) => {
    needsEntry(context, 'dmesg');
    if (noTrap !== null && process.env['VDPALAB_REQUIRE_REAL'] === '1') throw new Error(noTrap);
    if (noTrap !== null) return context.skip(noTrap);
    const script = `
      modprobe vdpa_sim_net; echo '<28>tail \\ end' >/dev/kmsg
      diff <(dmesg -x) <(lab dmesg -x) && diff <(dmesg) <(dmesg -S) && echo same; dmesg -tx | tail -n 1
      dmesg -c >/dev/null; dmesg
      coproc dmesg -wtx; echo '<11>one' >/dev/kmsg; read -ru "\${COPROC[0]}" line; echo "$line"
      echo '<4>two' >/dev/kmsg; read -ru "\${COPROC[0]}" line; echo "$line"; kill $COPROC_PID; wait $COPROC_PID; echo $?`;
    expect(await host.bash(script, { exec: ['--trap'] })).toEqual({ stdout: 'same\ndaemon:warn  : tail \\ end\nuser  :err   : one\nuser  :warn  : two\n143\n', stderr: '', status: 0 });
  });
});
