/** NAPI: a device is polled in atomic work, some frames a turn. Mirrors `net/core/dev.c` (Linux 6.1). */
import type { AtomicWork, Scheduler } from '@vdpalab/abi';
import type { SchedSymbols } from '@vdpalab/sched';
import type { NapiStruct, NetDevice, NetdevSymbols } from './header.ts';

type NapiSymbols = Pick<NetdevSymbols,
  'netif_napi_add' | 'netif_napi_del' | 'napi_enable' | 'napi_disable' | 'napi_schedule' | 'napi_complete_done'>;

/** `struct napi_struct` */
class Napi implements NapiStruct {
  readonly name: string;
  readonly weight: number;
  readonly poll: (budget: number) => number;
  readonly work: AtomicWork;
  /** NAPI_STATE_SCHED: it is or will be polled; set while disabled, so that nobody schedules it. */
  scheduled = true;
  /** NAPI_STATE_MISSED: scheduled once more meanwhile. */
  missed = false;
  /** NAPI_STATE_DISABLE */
  disabling = false;
  enabled = false;

  constructor(name: string, weight: number, poll: (budget: number) => number, run: (napi: Napi) => undefined) {
    this.name = name;
    this.weight = weight;
    this.poll = poll;
    this.work = { name, run: () => run(this), pending: false, cause: 0 };
  }
}

/** Make the polling of one kernel. */
export function createNapi(sched: Scheduler, { cpu_relax }: Pick<SchedSymbols, 'cpu_relax'>): NapiSymbols & { leftovers: () => string[] } {
  const all = new Set<Napi>();

  function own(handle: NapiStruct): Napi {
    if (handle instanceof Napi && all.has(handle)) return handle;
    throw new Error(`napi ${handle.name}: used after netif_napi_del`);
  }

  /** `__napi_poll`: what used its whole turn up goes on in the next one, after others. */
  function run(napi: Napi): undefined {
    if (!napi.scheduled || !napi.enabled) return;
    const work = napi.poll(napi.weight);
    if (work < napi.weight) return;
    if (napi.disabling) complete(napi);
    else sched.raise(napi.work);
  }

  function complete(napi: Napi): boolean {
    const again = napi.missed && !napi.disabling;
    napi.missed = false;
    napi.scheduled = again;
    if (again) sched.raise(napi.work);
    return !again;
  }

  return {
    netif_napi_add(dev: NetDevice, name, weight, poll) {
      const napi = new Napi(`${dev.name} ${name}`, weight, poll, run);
      all.add(napi);
      return napi;
    },
    netif_napi_del(handle) {
      const napi = own(handle);
      if (napi.enabled) throw new Error(`napi ${napi.name}: deleted while enabled`);
      all.delete(napi);
    },
    napi_enable(handle) {
      const napi = own(handle);
      if (napi.enabled) throw new Error(`napi ${napi.name}: enabled twice`);
      napi.enabled = true;
      napi.disabling = false;
      napi.scheduled = false;
      napi.missed = false;
    },
    async napi_disable(handle) {
      const napi = own(handle);
      if (!napi.enabled) throw new Error(`napi ${napi.name}: disabled, but not enabled`);
      napi.disabling = true;
      while (napi.scheduled) await cpu_relax();
      napi.scheduled = true;
      napi.enabled = false;
      napi.disabling = false;
    },
    napi_schedule(handle) {
      const napi = own(handle);
      if (napi.disabling || !napi.enabled) return false;
      if (napi.scheduled) {
        napi.missed = true;
        return false;
      }
      napi.scheduled = true;
      sched.raise(napi.work);
      return true;
    },
    napi_complete_done: (handle) => complete(own(handle)),
    leftovers: () => [...all].map(({ name }) => `napi ${name}`),
  };
}
