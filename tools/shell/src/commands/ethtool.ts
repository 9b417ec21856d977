/** `ethtool -l` and `-L`: queue pairs of an interface, over generic netlink. Mirrors `netlink/channels.c` of ethtool 6.1; nothing else of it. */
import { getopt } from '@vdpalab/kmod';
import { GenlSocket, NetlinkError, type GenlMessage } from '@vdpalab/user';
import * as uapi from '@vdpalab/uapi';
import type { Applet, Program } from '../program.ts';
import { errnoText } from '../system.ts';
import { unsigned } from './iproute-words.ts';

const OPTIONS = { short: 'lLh', long: { 'show-channels': 'l', 'set-channels': 'L', help: 'h' } } as const;
const HELP = `Usage:
        ethtool -l|--show-channels DEVNAME
        ethtool -L|--set-channels DEVNAME [ combined N ]
`;

/** Kinds of channels: name, most there are, in use. */
const KINDS = [
  ['RX', uapi.ETHTOOL_A_CHANNELS_RX_MAX, uapi.ETHTOOL_A_CHANNELS_RX_COUNT], ['TX', uapi.ETHTOOL_A_CHANNELS_TX_MAX, uapi.ETHTOOL_A_CHANNELS_TX_COUNT],
  ['Other', uapi.ETHTOOL_A_CHANNELS_OTHER_MAX, uapi.ETHTOOL_A_CHANNELS_OTHER_COUNT],
  ['Combined', uapi.ETHTOOL_A_CHANNELS_COMBINED_MAX, uapi.ETHTOOL_A_CHANNELS_COMBINED_COUNT],
] as const;

/** The program. */
export const ethtool: Applet = async (c) => {
  const { options, operands, error } = getopt(c.args, OPTIONS);
  const [action] = options.map(({ name }) => name);
  const [device, ...words] = operands;
  if (action === 'h') {
    c.out(HELP);
    return 0;
  }
  const combined = words.length === 2 && words[0] === 'combined' ? unsigned(words[1], 0, 0xffff_ffff) : null;
  const sound = error === null && device !== undefined && (action === 'l' ? words.length === 0 : action === 'L' && combined !== null);
  if (!sound) return c.fail('bad command line argument(s)\nFor more information run ethtool -h');
  const socket = await GenlSocket.open(c.p, uapi.ETHTOOL_GENL_NAME);
  try {
    const replies = await socket.request(action === 'l' ? uapi.ETHTOOL_MSG_CHANNELS_GET : uapi.ETHTOOL_MSG_CHANNELS_SET, (b) => {
      const header = b.nestStart(uapi.ETHTOOL_A_CHANNELS_HEADER | uapi.NLA_F_NESTED);
      b.putString(uapi.ETHTOOL_A_HEADER_DEV_NAME, device);
      b.nestEnd(header);
      if (combined !== null) b.putU32(uapi.ETHTOOL_A_CHANNELS_COMBINED_COUNT, combined);
    });
    for (const reply of replies) show(c, device, reply);
    return 0;
  } catch (refused) {
    if (!(refused instanceof NetlinkError)) throw refused;
    await c.err(`netlink error: ${refused.extack ?? ''}${refused.extack === null ? '' : '\nnetlink error: '}${errnoText(refused.errno)}\n`);
    return 1;
  } finally {
    await socket.close();
  }
};

function show(c: Program, device: string, m: GenlMessage): void {
  const lines = (which: 1 | 2): string => KINDS.map((kind) => `${kind[0]}:\t\t`.replace('Combined:\t\t', 'Combined:\t') + (m.has(kind[which]) ? m.number(kind[which]) : 'n/a')).join('\n');
  c.out(`Channel parameters for ${device}:\nPre-set maximums:\n${lines(1)}\nCurrent hardware settings:\n${lines(2)}\n`);
}
