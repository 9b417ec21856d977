/** The carrier, and who hears of it. Mirrors `net/sched/sch_generic.c`, `net/core/link_watch.c` (Linux 6.1). */
import { IF_OPER_DOWN, IF_OPER_UNKNOWN, IF_OPER_UP } from '@vdpalab/uapi';
import type { NetDevice, NetdevSymbols } from './header.ts';
import type { NetDev } from './net-device.ts';
import { withRtnl } from './table.ts';
import type { NetWorld } from './table.ts';

type CarrierSymbols = Pick<NetdevSymbols, 'netif_carrier_on' | 'netif_carrier_off'>;

/** Carrier changes of one kernel. */
export interface Carrier {
  readonly symbols: CarrierSymbols;
  /** A device that is registered without a carrier has a state to be told. */
  readonly init: (dev: NetDev) => undefined;
}

/** Make the carrier changes. @param own the device behind a handle */
export function createCarrier(world: NetWorld, own: (dev: NetDevice) => NetDev): Carrier {
  const { k } = world;
  const changed = new Set<NetDev>();
  const work = k.INIT_WORK('linkwatch_event', () => withRtnl(world, async () => {
    for (const dev of [...changed]) {
      changed.delete(dev);
      if (dev.reg_state === 'registered') update(dev);
    }
  }));

  /** `rfc2863_policy`, `linkwatch_do_dev` */
  function update(dev: NetDev): undefined {
    dev.operstate = dev.carrier ? IF_OPER_UP : IF_OPER_DOWN;
    if (!dev.carrier) dev.qdisc.flush();
    world.notify(dev, 0);
  }

  function set(dev: NetDev, on: boolean): undefined {
    if (dev.carrier === on) return;
    dev.carrier = on;
    if (dev.reg_state === 'uninitialized') return;
    if (on) dev.carrier_up_count++;
    else dev.carrier_down_count++;
    changed.add(dev);
    k.queue_work(k.system_wq, work);
  }

  return {
    symbols: {
      netif_carrier_on: (dev) => set(own(dev), true),
      netif_carrier_off: (dev) => set(own(dev), false),
    },
    init(dev) {
      dev.operstate = dev.carrier ? IF_OPER_UNKNOWN : IF_OPER_DOWN;
    },
  };
}
