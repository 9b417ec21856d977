/** The settings of a queue; what each write comes to is a recording of Linux 6.1, of a disk of vdpa_sim_blk. */
import { errnoOf } from '@vdpalab/testing';
import { O_RDONLY, O_WRONLY } from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { bootRam } from './testing/ramdisk.ts';

/** A shell's `cat` and `echo` on files of the disk. */
async function files(options: Parameters<typeof bootRam>[0] = {}) {
  const { k, user } = await bootRam(options);
  const path = (name: string): string => `/sys/block/rda/${name}`;
  return {
    cat: (name: string): Promise<string> => user(async (proc) => {
      const fd = await k.ksys_open(proc, path(name), O_RDONLY);
      const text = String.fromCharCode(...await k.ksys_read(proc, fd, 4096));
      await k.ksys_close(proc, fd);
      return text.replace(/\n$/, '');
    }),
    echo: (text: string, name: string): Promise<string> => user(async (proc) => {
      const fd = await k.ksys_open(proc, path(name), O_WRONLY);
      const outcome = await errnoOf(() => k.ksys_write(proc, fd, Uint8Array.from(`${text}\n`, (c) => c.charCodeAt(0))));
      await k.ksys_close(proc, fd);
      return outcome;
    }),
  };
}

test('what is written is shown, or refused as Linux refuses it', async () => {
  const { cat, echo } = await files({ depth: 128, limits: { max_discard_sectors: 1024, discard_granularity: 4096 } });
  const usual = ['256', '[mq-deadline] none', '1', '128', '1280', '0', '-1', '0', '1', '1', '0', '0', '75000', '524288'];
  const names = ['nr_requests', 'scheduler', 'rotational', 'read_ahead_kb', 'max_sectors_kb', 'io_poll', 'io_poll_delay', 'nomerges', 'rq_affinity', 'iostats', 'add_random',
    'stable_writes', 'wbt_lat_usec', 'discard_max_bytes'];
  const shown: string[] = [];
  for (const name of names) shown.push(await cat(`queue/${name}`));
  expect(shown).toEqual(usual);
  for (const [name, text, after] of [
    ['nr_requests', '64', '64'], ['nr_requests', '1', '4'], ['scheduler', 'none', '[none] mq-deadline '], ['nr_requests', '128', '128'],
    ['nr_requests', '129', 'EINVAL'], ['scheduler', 'nosuch', 'EINVAL'], ['scheduler', 'mq-deadline', '[mq-deadline] none'],
    ['rotational', '0', '0'], ['wbt_lat_usec', '-1', '2000'], ['rotational', '5', '1'], ['rotational', 'x', 'EINVAL'], ['rotational', '-1', 'EINVAL'],
    ['read_ahead_kb', '512', '512'], ['read_ahead_kb', '4294967296', 'EINVAL'], ['max_sectors_kb', '64', '64'], ['max_sectors_kb', '1', 'EINVAL'],
    ['io_poll', '1', 'EINVAL'], ['io_poll_delay', '5', '-1'], ['nomerges', '2', '2'], ['nomerges', '3', '1'], ['nomerges', '0', '0'],
    ['rq_affinity', '2', '2'], ['rq_affinity', '3', '2'], ['iostats', '0', '0'], ['add_random', '7', '1'], ['stable_writes', '1', '1'],
    ['wbt_lat_usec', '1', '1'], ['wbt_lat_usec', '-2', 'EINVAL'], ['write_cache', 'write back', 'write back'], ['write_cache', 'none', 'write through'],
    ['write_cache', 'junk', 'EINVAL'], ['discard_max_bytes', '4096', '4096'], ['discard_max_bytes', '100', 'EINVAL'], ['discard_max_bytes', '8388608', '524288'],
  ] as const) {
    const before = await cat(`queue/${name}`);
    const outcome = await echo(text, `queue/${name}`);
    expect([name, text, outcome === 'EINVAL' ? outcome : await cat(`queue/${name}`)]).toEqual([name, text, after]);
    if (outcome === 'EINVAL') expect(await cat(`queue/${name}`)).toBe(before);
  }
});

test('a disk without events has nothing to poll for', async () => {
  const { cat, echo } = await files();
  expect([await cat('events_poll_msecs'), await echo('1000', 'events_poll_msecs'), await echo('x', 'events_poll_msecs'), await echo('-2', 'events_poll_msecs')])
    .toEqual(['-1', 'ENODEV', 'EINVAL', 'EINVAL']);
});
