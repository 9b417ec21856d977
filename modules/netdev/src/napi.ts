/** NAPI: polling in atomic context. Mirrors `net/core/dev.c` (Linux 6.1). */
import type { AtomicWork, Scheduler } from '@vdpalab/abi';
import type { SchedSymbols, WaitQueue } from '@vdpalab/sched';
import type { NapiStruct, NetDevice, NetdevSymbols } from './header.ts';

/** `struct napi_struct` with its state. */
class Napi implements NapiStruct {
  readonly name: string;
  readonly weight: number;
  readonly poll: (budget: number) => number;
  enabled = false;
  /** NAPI_STATE_SCHED */
  scheduled = false;
  /** NAPI_STATE_MISSED: a schedule came while it polled. */
  missed = false;
  readonly work: AtomicWork;

  constructor(dev: NetDevice, name: string, weight: number, poll: (budget: number) => number, run: (napi: Napi) => undefined) {
    this.name = `${dev.name} ${name}`;
    this.weight = weight;
    this.poll = poll;
    this.work = { name: `napi ${this.name}`, run: () => run(this), pending: false, cause: 0 };
  }
}

type NapiSymbols = Pick<NetdevSymbols, 'netif_napi_add' | 'netif_napi_del' | 'napi_enable' | 'napi_disable' | 'napi_schedule' | 'napi_complete_done'>;

/** Make the NAPI of one kernel. */
export function createNapi(
  sched: Scheduler, k: Pick<SchedSymbols, 'init_waitqueue_head' | 'wait_event' | 'wake_up'>,
): { readonly symbols: NapiSymbols; readonly leftovers: () => string[] } {
  const all = new Set<Napi>();
  const quiet: WaitQueue = k.init_waitqueue_head('napi');

  const own = (napi: NapiStruct): Napi => {
    if (!(napi instanceof Napi) || !all.has(napi)) throw new Error(`napi ${napi.name}: deleted, or none of this kernel`);
    return napi;
  };

  /** One turn; a poll that used its whole budget stays scheduled. */
  function run(napi: Napi): undefined {
    if (!napi.enabled) {
      napi.scheduled = false;
      return k.wake_up(quiet);
    }
    const work = napi.poll(napi.weight);
    if (work >= napi.weight && napi.scheduled) sched.raise(napi.work);
    return undefined;
  }

  return {
    leftovers: () => [...all].map((napi) => `napi ${napi.name}`),
    symbols: {
      netif_napi_add(dev, name, weight, poll) {
        const napi = new Napi(dev, name, weight, poll, run);
        all.add(napi);
        return napi;
      },
      netif_napi_del(napi) {
        all.delete(own(napi));
        return undefined;
      },
      napi_enable(napi) {
        own(napi).enabled = true;
        return undefined;
      },
      async napi_disable(napi) {
        const mine = own(napi);
        mine.enabled = false;
        await k.wait_event(quiet, () => !mine.work.pending, `${mine.name} to stop polling`);
        mine.scheduled = false;
        mine.missed = false;
      },
      napi_schedule(napi) {
        const mine = own(napi);
        if (!mine.enabled) return false;
        if (mine.scheduled) {
          mine.missed = true;
          return false;
        }
        mine.scheduled = true;
        sched.raise(mine.work);
        return true;
      },
      napi_complete_done(napi) {
        const mine = own(napi);
        if (mine.missed) {
          mine.missed = false;
          sched.raise(mine.work);
          return false;
        }
        mine.scheduled = false;
        return true;
      },
    },
  };
}
