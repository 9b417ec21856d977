import { isKernelError } from '@vdpalab/abi';
import { covers } from '@vdpalab/testing';
import { describe, expect, it } from 'vitest';
import { fakeKernel, gate, settle } from './fake-host.ts';

const errno = (promise: Promise<unknown>): Promise<string> => promise.then(() => 'ok', (e: unknown) => (isKernelError(e) ? e.errno : String(e)));

describe('request_module', () => {
  it('runs the helper quietly and gives its wait status', async () => {
    covers('2.14.18');
    const ran: (readonly string[])[] = [];
    const { loader } = fakeKernel({
      usermodehelper: async (argv) => {
        ran.push(argv);
        return argv.at(-1) === 'nowhere' ? 1 : 0;
      },
    });
    expect(await loader.request_module('net-pf-16')).toBe(0);
    expect(await loader.request_module('nowhere')).toBe(256);
    expect(ran).toEqual([['/sbin/modprobe', '-q', '--', 'net-pf-16'], ['/sbin/modprobe', '-q', '--', 'nowhere']]);
  });

  it('needs a helper, and a name that fits', async () => {
    covers('2.14.18');
    const ran: string[] = [];
    const helper = async (argv: readonly string[]): Promise<number> => ran.push(argv[0] ?? '') && 0;
    expect(await errno(fakeKernel().loader.request_module('x'))).toBe('ENOENT');
    expect(await errno(fakeKernel({ usermodehelper: helper, modprobePath: () => '' }).loader.request_module('x'))).toBe('ENOENT');
    const { loader } = fakeKernel({ usermodehelper: helper, modprobePath: () => '/opt/mp' });
    expect(await errno(loader.request_module('x'.repeat(56)))).toBe('ENAMETOOLONG');
    expect(await errno(loader.request_module('x'.repeat(55)))).toBe('ok');
    expect(ran).toEqual(['/opt/mp']);
  });

  it('runs fifty helpers at a time; the next waits for one of them, five seconds at most', async () => {
    covers('2.14.18');
    const latches = Array.from({ length: 50 }, gate);
    let started = 0;
    const { loader, host } = fakeKernel({
      usermodehelper: async () => {
        await latches[started++]?.passed;
        return 0;
      },
    });
    const first = latches.map((_, i) => loader.request_module(`m${i}`));
    const patient = errno(loader.request_module('patient'));
    await settle();
    expect(started).toBe(50);
    expect(host.waiting).toEqual(['one of 50 module requests to end']);
    latches[7]?.open();
    expect(await patient).toBe('ok');

    const again = loader.request_module('again'); // takes the free place and, with no latch of its own, ends
    expect(await again).toBe(0);
    const held = gate();
    latches.push(held);
    started = 50;
    const last = loader.request_module('last');
    const late = errno(loader.request_module('late'));
    await settle();
    host.takeLog();
    host.timeOut();
    expect(await late).toBe('ETIME');
    expect(host.log).toEqual(['warn: request_module: modprobe late cannot be processed, kmod busy with 50 threads for more than 5 seconds now']);
    for (const latch of latches) latch.open();
    await Promise.all([...first, last]);
  });
});
