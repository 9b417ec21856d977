/**
 * Device side of a packed virtqueue that is not contiguous in memory after translation, may be remapped while in use, or is a
 * mirror of another process's memory.
 *
 * Every access to the ring goes through the mappings. Of a mirror a stretch of descriptors is pulled where one is looked
 * at, and those that are available once more, since the first pull may have met them half written. Used entries are
 * pushed together, and the flags of the first after them.
 */
import { VHOST_ACCESS_RO, VHOST_ACCESS_WO } from '@vdpalab/uapi';
import type { RingDeviceOptions } from './device-core.ts';
import { DESC_SIZE, QUEUE_SIZE_MAX } from './defs.ts';
import type { PackedRingAddresses } from './packed-defs.ts';
import { isPackedAvailable, isPackedQueueSize } from './packed-defs.ts';
import { PackedRing } from './packed-ring.ts';
import { RingBytes } from './ring-bytes.ts';

const TWO_32 = 0x1_0000_0000;
/** Descriptors pulled at once. */
const STRETCH = 64;
// Places in a descriptor.
const LEN = 8;
const ID = 12;
const FLAGS = 14;
/** Bytes of `off_wrap`, and of an event structure. */
const HALF = 2;
const EVENT = 4;

/** Device side of a packed virtqueue, through its mappings and mirrors. */
export class GatheredPackedDevice extends PackedRing {
  private readonly at: PackedRingAddresses;
  private readonly desc: RingBytes;
  private readonly driver: RingBytes;
  private readonly device: RingBytes;
  /** Descriptors that the mirror has as they were made available, and that were not taken since. */
  private readonly here: Uint8Array;

  /** @throws RangeError when the queue size or an address cannot be */
  constructor(addresses: PackedRingAddresses, options: RingDeviceOptions) {
    const { num } = addresses;
    if (!isPackedQueueSize(num)) throw new RangeError(`packed device: queue size ${num} is not 1 to ${QUEUE_SIZE_MAX}`);
    for (const address of [addresses.desc, addresses.driver, addresses.device]) {
      if (!Number.isSafeInteger(address) || address < 0) throw new RangeError(`packed device: ${address} is not an address below 2^53`);
    }
    super(num, options);
    this.at = addresses;
    this.desc = new RingBytes(options.translate, this.threaded);
    this.driver = new RingBytes(options.translate, this.threaded);
    this.device = new RingBytes(options.translate, this.threaded);
    this.here = new Uint8Array(num);
  }

  protected loadFlags(index: number): number {
    if (this.here[index] === 0) this.look(index);
    return this.flagsHere(index);
  }

  protected loadDesc(index: number): number {
    const { desc } = this;
    this.here[index] = 0;
    if (!desc.load(this.address(index), DESC_SIZE)) return -1;
    this.dLo = desc.u32(0);
    this.dHi = desc.u32(4);
    this.dLen = desc.u32(LEN);
    this.dLow = desc.u16(ID);
    this.dHigh = desc.u16(FLAGS);
    return 0;
  }

  protected storeUsed(index: number, id: number, length: number): number {
    const { bytes } = this.desc;
    for (let b = 0; b < 4; b++) bytes[b] = length >>> (8 * b);
    bytes[4] = id;
    bytes[5] = id >>> 8;
    const at = this.address(index) + LEN;
    const err = this.desc.store(at, FLAGS - LEN);
    this.pushLater(at, FLAGS - LEN);
    return err;
  }

  protected storeFlags(index: number, flags: number): number {
    const at = this.address(index) + FLAGS;
    const err = this.desc.store16(at, flags);
    this.pushLater(at, HALF);
    return err;
  }

  protected loadDriverEvent(): number {
    const { driver, at } = this;
    this.beforePull();
    driver.cache.pull(at.driver, EVENT, VHOST_ACCESS_RO);
    const offWrap = driver.load16(at.driver);
    const flags = driver.load16(at.driver + HALF);
    return offWrap < 0 || flags < 0 ? -1 : offWrap + flags * 0x1_0000;
  }

  protected storeDeviceEvent(offWrap: number, flags: number): number {
    const { device, at } = this;
    const err = device.store16(at.device, offWrap) || device.store16(at.device + HALF, flags);
    device.cache.push(at.device, EVENT);
    return err;
  }

  override flush(): undefined {
    super.flush();
    if (this.pushes.count > 0) this.pushes.flush(); // the flags that publish
  }

  /** Look at the other side's descriptors again when next asked for chains, even if some are left from the last look. */
  forget(): undefined {
    this.here.fill(0);
  }

  /** Pull from here on, and again what turns out to be available. */
  private look(index: number): undefined {
    const { desc, num, lastAvail } = this;
    const most = Math.min(STRETCH, num - index);
    this.beforePull();
    desc.cache.pull(this.address(index), most * DESC_SIZE, VHOST_ACCESS_RO);
    if (!desc.cache.remote) return;
    const wrap = (lastAvail >>> 15) ^ (index < (lastAvail & 0x7fff) ? 1 : 0);
    let count = 0;
    while (count < most && isPackedAvailable(this.flagsHere(index + count), wrap)) count++;
    if (count === 0) return;
    desc.cache.pull(this.address(index), count * DESC_SIZE, VHOST_ACCESS_RO);
    this.here.fill(1, index, index + count);
  }

  private pushLater(address: number, length: number): undefined {
    const { cache } = this.desc;
    for (let done = 0; done < length; ) {
      const at = address + done;
      const n = cache.reach(at >>> 0, Math.floor(at / TWO_32), length - done, VHOST_ACCESS_WO);
      if (n === 0) return;
      const remote = cache.memory!.remote;
      if (remote !== null) this.pushes.add(remote, cache.at, n);
      done += n;
    }
  }

  private flagsHere(index: number): number {
    return this.desc.load16(this.address(index) + FLAGS);
  }

  private address(index: number): number {
    return this.at.desc + index * DESC_SIZE;
  }
}
