/** Counters as `ip -s link` shows them. Mirrors `print_stats64` in `ip/ipaddress.c` (iproute2 6.1). */
import { IFLA_CARRIER_CHANGES, IFLA_STATS64, rtnl_link_stats64, type RtnlLinkStats64 } from '@vdpalab/uapi';
import type { Link } from './ip-link.ts';
import type { Printer } from './print.ts';

type Counter = keyof RtnlLinkStats64 | 'carrier_changes';
/** Column: its heading, its name in JSON, what it shows. */
type Column = readonly [string, string, Counter];

const RX: readonly Column[] = [
  ['bytes', 'bytes', 'rx_bytes'], ['packets', 'packets', 'rx_packets'], ['errors', 'errors', 'rx_errors'], ['dropped', 'dropped', 'rx_dropped'],
  ['missed', 'over_errors', 'rx_missed_errors'], ['mcast', 'multicast', 'multicast'],
];
const RX_ERRORS: readonly Column[] = [
  ['length', 'length_errors', 'rx_length_errors'], ['crc', 'crc_errors', 'rx_crc_errors'], ['frame', 'frame_errors', 'rx_frame_errors'],
  ['fifo', 'fifo_errors', 'rx_fifo_errors'], ['overrun', 'missed_errors', 'rx_over_errors'],
];
const TX: readonly Column[] = [
  ['bytes', 'bytes', 'tx_bytes'], ['packets', 'packets', 'tx_packets'], ['errors', 'errors', 'tx_errors'], ['dropped', 'dropped', 'tx_dropped'],
  ['carrier', 'carrier_errors', 'tx_carrier_errors'], ['collsns', 'collisions', 'collisions'],
];
const TX_ERRORS: readonly Column[] = [
  ['aborted', 'aborted_errors', 'tx_aborted_errors'], ['fifo', 'fifo_errors', 'tx_fifo_errors'], ['window', 'window_errors', 'tx_window_errors'],
  ['heartbt', 'heartbeat_errors', 'tx_heartbeat_errors'], ['transns', 'carrier_changes', 'carrier_changes'],
];
/** JSON has the counters of missed and overrun frames the other way round. */
const JSON_COUNTER: Partial<Record<Counter, Counter>> = { rx_missed_errors: 'rx_over_errors', rx_over_errors: 'rx_missed_errors' };
/** Widths of the columns to begin with: `*X errors:`, packets, errors, dropped, heartbt, overrun, compressed. */
const WIDTHS = [10, 7, 6, 7, 7, 7, 10] as const;

/** Both tables. @param errors the kinds of errors too */
export function printStats(p: Printer, link: Link, errors: boolean, nl: string): void {
  const raw = new Uint8Array(rtnl_link_stats64.size);
  raw.set(link.bytes(IFLA_STATS64).subarray(0, raw.length));
  const counters = { ...rtnl_link_stats64.decode(raw), carrier_changes: link.number(IFLA_CARRIER_CHANGES) };
  const jsonOf = (columns: readonly Column[]): void => {
    for (const [, key, counter] of columns) p.json?.name(key).value(counters[JSON_COUNTER[counter] ?? counter]);
  };
  p.object('stats64', () => {
    p.object('rx', () => jsonOf(errors ? [...RX, ...RX_ERRORS] : RX));
    p.object('tx', () => jsonOf(errors ? [...TX, ...TX_ERRORS] : TX));
  });
  if (p.json !== null) return;
  const widths: number[] = [...WIDTHS]; // both tables have the same
  const fit = (columns: readonly Column[], at: number): void => columns.forEach(([, , counter], i) => {
    widths[at + i] = Math.max(widths[at + i] ?? 0, String(counters[counter]).length);
  });
  fit(RX, 0);
  fit(TX, 0);
  if (errors) fit(RX_ERRORS, 1);
  if (errors) fit(TX_ERRORS, 1);
  p.text([...table('RX', RX, RX_ERRORS), ...table('TX', TX, TX_ERRORS)].join(nl));

  function table(which: string, first: readonly Column[], second: readonly Column[]): string[] {
    const width = (i: number): number => widths[i] ?? 0;
    const row = (columns: readonly Column[], at: number, cell: (column: Column) => string): string => columns.map((column, i) => cell(column).padStart(width(at + i))).join(' ');
    const number = ([, , counter]: Column): string => String(counters[counter]);
    const heads = first.map(([heading], i) => heading.padStart(i === 0 ? width(0) - 4 : width(i))).join(' ');
    const lines = [`    ${which}: ${heads} ${' '.repeat(width(6))}`, `    ${row(first, 0, number)} `];
    if (!errors) return lines;
    const errorHeads = `    ${which} errors:${' '.repeat(width(0) - 10)} ${row(second, 1, ([heading]) => heading)}`;
    return [...lines, errorHeads, `${' '.repeat(width(0) + 5)}${row(second, 1, number)} `];
  }
}
