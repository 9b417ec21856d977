import type { Process } from '@vdpalab/fs';
import { GenlTool } from '@vdpalab/testing';
import type { Attrs } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { expect, test } from 'vitest';
import { bootNet } from './testing/kernel.ts';

type Header = (b: uapi.NlaBuilder) => void;
const named = (name: string): Header => (b) => void b.putString(uapi.ETHTOOL_A_HEADER_DEV_NAME, name);

/** Requests as ethtool makes them. */
class Ethtool {
  readonly tool: GenlTool<Process>;

  constructor(tool: GenlTool<Process>) {
    this.tool = tool;
  }

  ask(cmd: number, header: Header | null, counts: readonly (readonly [number, number])[] = []): ReturnType<GenlTool<Process>['request']> {
    return this.tool.request(cmd, (b) => {
      if (header !== null) {
        const nest = b.nestStart(uapi.ETHTOOL_A_CHANNELS_HEADER | uapi.NLA_F_NESTED);
        header(b);
        b.nestEnd(nest);
      }
      for (const [attr, count] of counts) b.putU32(attr, count);
    });
  }

  async get(header: Header | null): Promise<string | readonly number[]> {
    const { result, messages } = await this.ask(uapi.ETHTOOL_MSG_CHANNELS_GET, header);
    return messages[0] === undefined ? result : shown(messages[0]);
  }

  async set(name: string, count: number, attr: number = uapi.ETHTOOL_A_CHANNELS_COMBINED_COUNT): Promise<string> {
    return (await this.ask(uapi.ETHTOOL_MSG_CHANNELS_SET, named(name), [[attr, count]])).result;
  }
}

/** Most and in use. */
const shown = (m: Attrs): readonly number[] => [uapi.ETHTOOL_A_CHANNELS_COMBINED_MAX, uapi.ETHTOOL_A_CHANNELS_COMBINED_COUNT].map((attr) => m.get(attr)?.[0] ?? -1);

test('channels are shown and set, within what the driver has', async () => {
  const kernel = await bootNet();
  const { k } = kernel;
  const state = { count: 2 };
  const asked: number[] = [];
  const { dev } = await kernel.device('eth%d', {
    get_channels: () => ({ max_combined: 4, combined_count: state.count }),
    set_channels: async (_, count) => {
      asked.push(count);
      state.count = count;
    },
  });
  await kernel.device('plain%d');
  await kernel.user(async (proc) => {
    const ethtool = new Ethtool(await GenlTool.connect(k, proc, uapi.ETHTOOL_GENL_NAME));
    expect([await ethtool.get(named('eth0')), await ethtool.get((b) => void b.putU32(uapi.ETHTOOL_A_HEADER_DEV_INDEX, dev.ifindex))]).toEqual([[4, 2], [4, 2]]);
    expect([await ethtool.set('eth0', 4), await ethtool.set('eth0', 4), await ethtool.get(named('eth0'))]).toEqual(['ok', 'ok', [4, 4]]);
    expect(asked).toEqual([4]); // the second time it was so already
    expect([await ethtool.set('eth0', 5), await ethtool.set('eth0', 1, uapi.ETHTOOL_A_CHANNELS_RX_COUNT)]).toEqual([
      'EINVAL: requested channel count exceeds maximum', 'EINVAL: requested channel count exceeds maximum',
    ]);
    expect(await ethtool.set('eth0', 0)).toBe('EINVAL: requested channel counts would result in no RX or TX channel being configured');
    expect([await ethtool.get(named('plain0')), await ethtool.set('plain0', 1)]).toEqual(['EOPNOTSUPP', 'EOPNOTSUPP']);
    expect([await ethtool.get(null), await ethtool.get(() => undefined), await ethtool.get(named('nosuch')), await ethtool.get((b) => void b.putU32(uapi.ETHTOOL_A_HEADER_DEV_INDEX, 99))]).toEqual([
      'EINVAL: request header missing', 'EINVAL: neither ifindex nor name specified', 'ENODEV: no device matches name', 'ENODEV: no device matches ifindex',
    ]);
    expect((await ethtool.tool.dump(uapi.ETHTOOL_MSG_CHANNELS_GET)).messages.map(shown)).toEqual([[4, 4]]);
    await ethtool.tool.close();
  });
  await kernel.user(async (proc) => {
    const ethtool = new Ethtool(await GenlTool.connect(k, proc, uapi.ETHTOOL_GENL_NAME));
    expect([await ethtool.get(named('eth0')), await ethtool.set('eth0', 1)]).toEqual([[4, 4], 'EPERM']);
    await ethtool.tool.close();
  }, { caps: [] });
});
