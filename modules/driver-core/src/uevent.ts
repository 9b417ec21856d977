/** Uevents: what user space is told. Mirrors `lib/kobject_uevent.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { Uevent } from './header.ts';
import { KERN } from './kernel.ts';
import type { Kernel } from './kernel.ts';
import { chomp } from './streq.ts';

type Action = Uevent['action'];
type Listener = (event: Uevent) => Atomic;

const ACTIONS: readonly Action[] = ['add', 'remove', 'change', 'move', 'online', 'offline', 'bind', 'unbind'];

const UUID = /^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/;
const PAIR = /^[0-9A-Za-z]+=[0-9A-Za-z]+$/;

/** Numbers uevents and tells listeners. */
export class Uevents {
  readonly #k: Pick<Kernel, 'machine'>;
  readonly #listeners = new Set<Listener>();
  #seqnum = 0;

  constructor(k: Pick<Kernel, 'machine'>) {
    this.#k = k;
  }

  /** Number of the last one: /sys/kernel/uevent_seqnum. */
  get seqnum(): number {
    return this.#seqnum;
  }

  listen(listener: Listener): Atomic {
    this.#listeners.add(listener);
  }

  unlisten(listener: Listener): Atomic {
    this.#listeners.delete(listener);
  }

  /**
   * Send one.
   *
   * @param extra lines the sender adds, in front of those of the subsystem
   * @param keys lines of the subsystem: DRIVER=, MODALIAS= (which `unbind` leaves out: zap_modalias_env)
   */
  send(devpath: string, subsystem: string, action: Action, extra: readonly string[] = [], keys: readonly string[] = []): Atomic {
    const seqnum = ++this.#seqnum;
    // Whoever loads modules by MODALIAS would bring back the driver that has just been unbound.
    const told = action === 'unbind' ? keys.filter((line) => !line.startsWith('MODALIAS=')) : keys;
    const env = [`ACTION=${action}`, `DEVPATH=${devpath}`, `SUBSYSTEM=${subsystem}`, ...extra, ...told, `SEQNUM=${seqnum}`];
    const { trace } = this.#k.machine;
    if (trace.enabled) trace.emit('uevent', { action, devpath, subsystem, seqnum });
    const event: Uevent = { action, devpath, env, seqnum };
    for (const listener of [...this.#listeners]) listener(event);
  }
}

/**
 * Send the uevent that a write to a `uevent` file asks for: an action, then perhaps a UUID and KEY=VALUE words.
 *
 * @param send gets the action and the SYNTH_ lines
 * @throws EINVAL for anything else
 * @see kobject_synth_uevent (Linux 6.1)
 */
export function synthUevent(
  k: Pick<Kernel, '_printk'>, devpath: string, text: string, send: (action: Action, env: readonly string[]) => Atomic,
): Atomic {
  const line = chomp(text);
  const parsed = parseSynth(line);
  if (typeof parsed !== 'string') return send(parsed.action, parsed.env);
  k._printk(KERN.warning, `synth uevent: ${devpath}: ${parsed}`);
  throw new KernelError('EINVAL', 'uevent.synth.words', `${devpath}: ${parsed}: "${line}"`);
}

/** @returns what to send, or what is wrong */
function parseSynth(line: string): { action: Action; env: string[] } | string {
  const [word, uuid, ...pairs] = line.split(' ');
  const action = ACTIONS.find((a) => a === word);
  if (action === undefined) return 'unknown uevent action string';
  if (uuid === undefined) return { action, env: ['SYNTH_UUID=0'] };
  if (!UUID.test(uuid) || !pairs.every((pair) => PAIR.test(pair))) return 'incorrect uevent action arguments';
  return { action, env: [`SYNTH_UUID=${uuid}`, ...pairs.map((pair) => `SYNTH_ARG_${pair}`)] };
}
