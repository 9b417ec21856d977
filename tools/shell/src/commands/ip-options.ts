/** Options of the ip program. Mirrors `main` of `ip/ip.c` (iproute2 6.1). Not done: batches, colours, other namespaces. */
import { Refusal } from './ip-link.ts';
import { matches } from './iproute-words.ts';

/** Help of the program, as far as it goes. */
export const USAGE = `Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }
where  OBJECT := { address | help | link }
       OPTIONS := { -V[ersion] | -s[tatistics] | -d[etails] | -j[son] | -p[retty] |
                    -f[amily] { inet | inet6 | mpls | bridge | link } |
                    -4 | -6 | -M | -B | -0 | -br[ief] | -o[neline] | -N[umeric] }
`;

/** What was asked for. */
export interface IpOptions {
  readonly stats: number;
  readonly details: boolean;
  readonly oneline: boolean;
  readonly numeric: boolean;
  readonly brief: boolean;
  readonly json: boolean;
  readonly pretty: boolean;
  readonly family: string;
  /** Object, command and its arguments. */
  readonly words: readonly string[];
}

/** Names in the order in which beginnings of them are tried; those with `=` take a value. */
const OPTIONS = [
  'loops=', 'family=', 'human', 'human-readable', 'iec', 'stats', 'statistics', 'details', 'resolve', 'oneline', 'timestamp', 'tshort', 'Version', 'force',
  'batch=', 'brief', 'json', 'pretty', 'rcvbuf=', 'color', 'help', 'netns=', 'Numeric', 'all',
] as const;
const FAMILIES: Readonly<Record<string, string>> = { '-4': 'inet', '-6': 'inet6', '-0': 'link', '-M': 'mpls', '-B': 'bridge' };

/** Read the command line. @throws Refusal */
export function parseOptions(args: readonly string[]): IpOptions | 'version' {
  const on = new Set<string>();
  const rest = [...args];
  let [stats, family] = [0, 'unspec'];
  for (;;) {
    const word = rest[0];
    if (word === undefined || !word.startsWith('-')) break;
    rest.shift();
    if (word === '--') break;
    const option = word.startsWith('--') ? word.slice(1) : word;
    const short = FAMILIES[option];
    if (short !== undefined) {
      family = short;
      continue;
    }
    const name = option === '-echo' || /^-c(o(l(o(r)?)?)?)?(=(always|auto|never))?$/.test(option) ? 'ignored'
      : OPTIONS.find((full) => matches(option, `-${full.replace('=', '')}`));
    if (name === undefined) throw new Refusal(`Option "${word}" is unknown, try "ip -help".\n`);
    if (name === 'Version') return 'version';
    if (name === 'help') throw new Refusal(USAGE);
    if (name.endsWith('=')) {
      const value = rest.shift();
      if (value === undefined) throw new Refusal(USAGE);
      if (name === 'batch=') throw new Refusal('"-batch" is not part of this lab\'s ip.\n', 1);
      if (name === 'family=') family = familyOf(value);
    }
    if (name === 'stats' || name === 'statistics') stats++;
    on.add(name);
  }
  return {
    stats, family, details: on.has('details'), oneline: on.has('oneline'), numeric: on.has('Numeric'), brief: on.has('brief'), json: on.has('json'),
    pretty: on.has('pretty'), words: rest,
  };
}

/** @throws Refusal */
function familyOf(value: string): string {
  if (value === 'help') throw new Refusal(USAGE);
  if (['inet', 'inet6', 'link', 'ipx', 'mpls', 'bridge', 'any'].includes(value)) return value === 'any' ? 'unspec' : value;
  throw new Refusal(`Error: argument "${value}" is wrong: invalid protocol family\n`);
}
