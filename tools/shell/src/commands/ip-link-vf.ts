/** Virtual functions in `ip link`, set and shown. Mirrors `iplink_parse_vf` in `ip/iplink.c` and `print_vfinfo` in `ip/ipaddress.c` (iproute2 6.1). */
import {
  IFLA_VF_BROADCAST, IFLA_VF_INFO, IFLA_VF_LINK_STATE, IFLA_VF_MAC, IFLA_VF_RATE, IFLA_VF_RSS_QUERY_EN, IFLA_VF_SPOOFCHK, IFLA_VF_TRUST, IFLA_VF_TX_RATE,
  IFLA_VF_VLAN, ifla_vf_link_state, ifla_vf_mac, ifla_vf_rate, ifla_vf_rss_query_en, ifla_vf_spoofchk, ifla_vf_trust, ifla_vf_tx_rate, ifla_vf_vlan,
  nlaList, type NlaBuilder,
} from '@vdpalab/uapi';
import { Refusal } from './ip-link.ts';
import { Words } from './ip-words.ts';
import { linkAddress, matches, unsigned } from './iproute-words.ts';
import type { Printer } from './print.ts';

/** Bytes of the longest link-layer address. */
const MAX_ADDR_LEN = 32;
/** By IFLA_VF_LINK_STATE_* */
const STATES = ['auto', 'enable', 'disable'] as const;

/**
 * The words behind `vf N`, up to one that says nothing about a VF.
 *
 * @returns how many bytes the address has that was given, if any
 * @throws Refusal
 */
export function parseVf(words: Words, vf: number, b: NlaBuilder): number | null {
  const info = b.nestStart(IFLA_VF_INFO);
  let addressLength: number | null = null;
  const rate: { min_tx_rate?: number; max_tx_rate?: number } = {};
  const before = words.read;
  const number = (key: string): number => {
    const text = words.next();
    const value = unsigned(text, 0, 0xffff_ffff);
    if (value === null) throw Words.invalid(text, `Invalid "${key}" value\n`);
    return value;
  };
  const setting = (key: string): number => {
    const text = words.next();
    if (text === 'on' || text === 'off') return text === 'on' ? 1 : 0;
    throw new Refusal(`Error: argument of "${key}" must be one of "off", "on", not "${text}"\n`, 1);
  };
  for (let word = words.peek(); word !== null; word = words.peek()) {
    if (matches(word, 'mac')) {
      words.take();
      const address = linkAddress(words.next(), MAX_ADDR_LEN);
      if ('error' in address) throw new Refusal(address.error, 1);
      const mac = new Uint8Array(32);
      mac.set(address.bytes);
      addressLength = address.bytes.length;
      b.put(IFLA_VF_MAC, ifla_vf_mac.encode({ vf, mac }));
    } else if (matches(word, 'vlan')) {
      words.take();
      const vlan = number('vlan');
      let qos = 0;
      if (words.peek() !== null && matches(words.peek() as string, 'qos')) {
        words.take();
        qos = number('qos');
      }
      if (words.peek() === 'proto') throw new Refusal('"proto" is not part of this lab\'s ip.\n', 1);
      b.put(IFLA_VF_VLAN, ifla_vf_vlan.encode({ vf, vlan, qos }));
    } else if (matches(word, 'rate')) {
      words.take();
      b.put(IFLA_VF_TX_RATE, ifla_vf_tx_rate.encode({ vf, rate: number('rate') }));
    } else if (matches(word, 'max_tx_rate')) {
      words.take();
      rate.max_tx_rate = number('max tx rate');
    } else if (matches(word, 'min_tx_rate')) {
      words.take();
      rate.min_tx_rate = number('min tx rate');
    } else if (matches(word, 'spoofchk')) {
      words.take();
      b.put(IFLA_VF_SPOOFCHK, ifla_vf_spoofchk.encode({ vf, setting: setting('spoofchk') }));
    } else if (matches(word, 'query_rss')) {
      words.take();
      b.put(IFLA_VF_RSS_QUERY_EN, ifla_vf_rss_query_en.encode({ vf, setting: setting('query_rss') }));
    } else if (matches(word, 'trust')) {
      words.take();
      b.put(IFLA_VF_TRUST, ifla_vf_trust.encode({ vf, setting: setting('trust') }));
    } else if (matches(word, 'state')) {
      words.take();
      const text = words.next();
      const link_state = STATES.findIndex((state) => matches(text, state));
      if (link_state < 0) throw Words.invalid(text, 'Invalid "state" value\n');
      b.put(IFLA_VF_LINK_STATE, ifla_vf_link_state.encode({ vf, link_state }));
    } else break;
  }
  if (words.read === before) throw new Refusal('Command line is not complete. Try option "help"\n');
  const { min_tx_rate: min = 0, max_tx_rate: max = 0 } = rate;
  if (max !== 0 && min > max) throw new Refusal(`Invalid min_tx_rate ${min} - must be <= max_tx_rate ${max}\n`, 1);
  if (rate.min_tx_rate !== undefined || rate.max_tx_rate !== undefined) b.put(IFLA_VF_RATE, ifla_vf_rate.encode({ vf, ...rate }));
  b.nestEnd(info);
  return addressLength;
}

const mac = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');

/** One virtual function. @param info content of IFLA_VF_INFO @param halen bytes of a link-layer address */
export function printVf(p: Printer, info: Uint8Array, halen: number, nl: string): void {
  const attrs = new Map(nlaList(info).attrs.map(({ type, payload }) => [type, payload]));
  const address = attrs.get(IFLA_VF_MAC);
  if (address === undefined) throw new Error('a VF without an address');
  const { vf, mac: bytes } = ifla_vf_mac.decode(address);
  p.field('vf', vf, `${nl}    vf ${vf} `);
  const link = mac(bytes.slice(0, halen));
  p.text('    link/ether ');
  p.json?.name('link_type').value('ether');
  p.field('address', link, link);
  const broadcast = attrs.get(IFLA_VF_BROADCAST);
  if (broadcast !== undefined) p.field('broadcast', mac(broadcast.slice(0, halen)), ` brd ${mac(broadcast.slice(0, halen))}`);
  const vlan = attrs.get(IFLA_VF_VLAN);
  if (vlan !== undefined) {
    const { vlan: id, qos } = ifla_vf_vlan.decode(vlan);
    if (id !== 0) p.field('vlan', id, `, vlan ${id}`);
    if (qos !== 0) p.field('qos', qos, `, qos ${qos}`);
  }
  const rate = attrs.get(IFLA_VF_TX_RATE);
  if (rate !== undefined && ifla_vf_tx_rate.decode(rate).rate !== 0) {
    const { rate: limit } = ifla_vf_tx_rate.decode(rate);
    p.field('tx_rate', limit, `, tx rate ${limit} (Mbps)`);
  }
  const rates = attrs.get(IFLA_VF_RATE);
  if (rates !== undefined) {
    const { min_tx_rate, max_tx_rate } = ifla_vf_rate.decode(rates);
    p.object('rate', () => {
      p.field('max_tx', max_tx_rate, max_tx_rate === 0 ? '' : `, max_tx_rate ${max_tx_rate}Mbps`);
      p.field('min_tx', min_tx_rate, min_tx_rate === 0 ? '' : `, min_tx_rate ${min_tx_rate}Mbps`);
    });
  }
  onOff(p, 'spoofchk', attrs.get(IFLA_VF_SPOOFCHK), ', spoof checking');
  const state = attrs.get(IFLA_VF_LINK_STATE);
  if (state !== undefined) {
    const name = STATES[ifla_vf_link_state.decode(state).link_state] ?? 'disable';
    p.field('link_state', name, `, link-state ${name}`);
  }
  onOff(p, 'trust', attrs.get(IFLA_VF_TRUST), ', trust');
  onOff(p, 'query_rss_en', attrs.get(IFLA_VF_RSS_QUERY_EN), ', query_rss');
}

/** All ones: the driver does not say. */
function onOff(p: Printer, key: string, payload: Uint8Array | undefined, words: string): void {
  if (payload === undefined) return;
  const { setting } = ifla_vf_trust.decode(payload);
  if (setting !== 0xffff_ffff) p.field(key, setting !== 0, `${words} ${setting !== 0 ? 'on' : 'off'}`);
}
