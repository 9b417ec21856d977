/** A parent that neither suspends nor logs what it writes serves everything but a migration. */
import { isKernelError, type KernelError } from '@vdpalab/abi';
import { programs } from '@vdpalab/cli';
import { Player } from '@vdpalab/shell';
import { covers } from '@vdpalab/testing';
import { VHOST_BACKEND_F_RESUME, VHOST_BACKEND_F_SUSPEND, VHOST_SET_LOG_BASE } from '@vdpalab/uapi';
import { expect, it } from 'vitest';
import { hexOf, sessionFrames, startChain } from '../support/index.ts';

async function refusal(call: () => Promise<unknown>): Promise<KernelError> {
  try {
    await call();
  } catch (error) {
    if (isKernelError(error)) return error;
    throw error;
  }
  throw new Error('not refused');
}

it('passes frames between the kernel and a process, and says what a migration lacks', { timeout: 20_000 }, async () => {
  covers('1.9.4', '2.9.13');
  const chain = await startChain();
  const { world: { lab }, receiver } = chain;
  const ops = await lab.kernel(async () => Object.keys(lab.symbol('dev_to_vdpa')(lab.symbol('all_devices')().find((dev) => dev.name === 'vdpa1')!).config));
  expect(ops.filter((op) => /suspend|resume|log|dirty/.test(op))).toEqual([]);
  const frames = sessionFrames().filter((f) => f.length <= 1514).slice(0, 20);
  expect(hexOf(await chain.pass(frames))).toEqual(hexOf(frames));
  await lab.as(receiver.process, async (p) => {
    const { file } = receiver.net;
    expect((await file.backendFeatures()) & (1n << BigInt(VHOST_BACKEND_F_SUSPEND))).toBe(0n);
    expect(await refusal(() => file.suspend())).toMatchObject({ errno: 'EOPNOTSUPP', message: 'the parent cannot suspend' });
    expect((await file.backendFeatures()) & (1n << BigInt(VHOST_BACKEND_F_RESUME))).toBe(0n);
    expect(await refusal(() => file.resume())).toMatchObject({ errno: 'EOPNOTSUPP', message: 'the parent cannot resume' });
    expect(await refusal(() => p.ioctl(file.fd, VHOST_SET_LOG_BASE, 0))).toMatchObject({ errno: 'ENOTTY' });
  });
  const player = await Player.open(lab, { applets: programs });
  expect((await player.play('vdpa dev vstats show vdpa1 qidx 0')).out).toEqual(['stderr: kernel answers: Operation not supported', 'exit: 0']);
  await player.close();
  expect(hexOf(await chain.pass(frames))).toEqual(hexOf(frames)); // and goes on
  expect(await chain.close()).toEqual([]);
});
