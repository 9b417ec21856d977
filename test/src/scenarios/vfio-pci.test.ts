/** What vfio-pci does beyond one virtual function: ids, physical functions and their tokens, pins, resets of a bus. */
import { createLab, type UserProcess } from '@vdpalab/lab';
import { covers, errnoOf } from '@vdpalab/testing';
import * as uapi from '@vdpalab/uapi';
import { Scratch, VfioContainerFile, VfioGroupFile } from '@vdpalab/user';
import { describe, expect, it } from 'vitest';
import { bindVfio, groupOf, modprobe, openVfio, unbindVfio, World, worldConfig } from '../support/index.ts';

const driverOf = async (p: UserProcess, bdf: string): Promise<string | null> => {
  const entries = await p.readdir(`/sys/bus/pci/devices/${bdf}`);
  return entries.some(({ name }) => name === 'driver') ? ((await p.readlink(`/sys/bus/pci/devices/${bdf}/driver`)).split('/').at(-1) ?? null) : null;
};

/** Load vfio_pci with parameters, after what it needs. */
async function loadWith(world: World, args: string): Promise<void> {
  const { lab } = world;
  await lab.user(async (p) => {
    await modprobe(lab, p, 'vfio_pci');
    await p.delete_module('vfio_pci', 0);
    const path = lab.builtModules.find(({ info }) => info.name === 'vfio_pci')?.info.path;
    await lab.symbol('init_module')({ path: `/lib/modules/${lab.config.release}/${path}` }, args, 0);
  });
}

describe('vfio-pci', () => {
  it('takes nothing by itself, and what it is told by ids, new_id or by name', async () => {
    const world = await World.create({ vfs: 2, modules: ['pci_pf_stub'] });
    const { lab } = world;
    await loadWith(world, 'ids=1af4:1041:ffff:ffff,8086:10f5,nonsense,12');
    const told = world.dmesg().map(({ text }) => text).filter((text) => text.startsWith('vfio_pci: '));
    expect(told).toEqual([
      'vfio_pci: add [1af4:1041[ffff:ffff]] class 0x000000/00000000', 'vfio_pci: add [8086:10f5[ffffffff:ffffffff]] class 0x000000/00000000',
      'vfio_pci: invalid id string "nonsense"', 'vfio_pci: invalid id string "12"',
    ]);
    await lab.user(async (p) => {
      expect(await driverOf(p, world.vf(0))).toBeNull(); // the subsystem is another
      expect(await errnoOf(() => p.writeFile('/sys/bus/pci/drivers/vfio-pci/bind', `${world.vf(0)}\n`, uapi.O_WRONLY))).toBe('ENODEV');
      await p.writeFile('/sys/bus/pci/drivers/vfio-pci/new_id', '1af4 1041\n', uapi.O_WRONLY);
      expect([await driverOf(p, world.vf(0)), await driverOf(p, world.vf(1))]).toEqual(['vfio-pci', 'vfio-pci']);
      expect(await errnoOf(() => p.writeFile('/sys/bus/pci/drivers/vfio-pci/new_id', '1af4 1041\n', uapi.O_WRONLY))).toBe('EEXIST');
    });
    await lab.user((p) => p.delete_module('vfio_pci', 0)); // lets both go
    expect(await lab.user((p) => driverOf(p, world.vf(0)))).toBeNull();
    expect(await world.close()).toEqual([]);
  });

  it('refuses a physical function whose virtual ones are on, and makes them itself only when it may', async () => {
    const world = await World.create({ vfs: 0, modules: ['pci_pf_stub', 'vfio_pci'] });
    const { lab } = world;
    await lab.user(async (p) => {
      const numvfs = (n: number): Promise<string> => errnoOf(() => p.writeFile(`/sys/bus/pci/devices/${world.pf}/sriov_numvfs`, `${n}\n`, uapi.O_WRONLY));
      expect(await numvfs(1)).toBe('ok');
      expect(await errnoOf(() => bindVfio(p, world.pf))).toBe('EBUSY');
      await p.writeFile(`/sys/bus/pci/devices/${world.pf}/driver_override`, 'pci-pf-stub\n', uapi.O_WRONLY);
      await p.writeFile('/sys/bus/pci/drivers_probe', `${world.pf}\n`, uapi.O_WRONLY);
      expect(await numvfs(0)).toBe('ok');
      await bindVfio(p, world.pf);
      expect(await numvfs(1)).toBe('ENOENT');
      await p.writeFile('/sys/module/vfio_pci/parameters/enable_sriov', '1\n', uapi.O_WRONLY);
      expect(await numvfs(1)).toBe('ok');
      expect(await numvfs(0)).toBe('ok');
      await unbindVfio(p, world.pf);
    });
    expect(await lab.close()).toEqual([]);
  });

  it('lets user space have a physical function and its virtual ones by a token they share', async () => {
    covers('2.13.7');
    const world = await World.create({ vfs: 0, modules: ['pci_pf_stub', 'vfio_pci'] });
    const { lab } = world;
    const [token, other] = ['2ab74924-c335-45f4-9b16-8569e5b08258', '2ab74924-c335-45f4-9b16-8569e5b08259'];
    await lab.user(async (p) => {
      await p.writeFile('/sys/module/vfio_pci/parameters/enable_sriov', '1\n', uapi.O_WRONLY);
      await bindVfio(p, world.pf);
      const container = await VfioContainerFile.open(p);
      const pfGroup = await VfioGroupFile.open(p, await groupOf(p, world.pf));
      await pfGroup.setContainer(container.fd);
      await container.setIommu(uapi.VFIO_TYPE1v2_IOMMU);
      const pf = await pfGroup.device(`${world.pf} vf_token=${token}`);
      expect(await errnoOf(() => pfGroup.device(world.pf))).toBe('EACCES');
      expect(await errnoOf(() => pfGroup.device(`${world.pf} vf_token=${other}`))).toBe('EACCES');
      await p.writeFile(`/sys/bus/pci/devices/${world.pf}/sriov_numvfs`, '1\n', uapi.O_WRONLY);
      await bindVfio(p, world.vf(0));
      const vfGroup = await VfioGroupFile.open(p, await groupOf(p, world.vf(0)));
      await vfGroup.setContainer(container.fd);
      const scratch = await Scratch.create(p);
      expect(await errnoOf(() => vfGroup.device(world.vf(0)))).toBe('EACCES');
      expect(await errnoOf(() => vfGroup.device(`${world.vf(0)} vf_token=${other}`))).toBe('EACCES');
      const vf = await vfGroup.device(`${world.vf(0)} vf_token=${token}`);
      await vf.close();
      const reset = new Uint8Array(16);
      reset.set(uapi.vfio_pci_hot_reset.encode({ argsz: 16, count: 1 }));
      new DataView(reset.buffer).setInt32(12, pfGroup.fd, true);
      expect(await errnoOf(() => scratch.ioctl(pf.fd, uapi.VFIO_DEVICE_PCI_HOT_RESET, reset))).toBe('EINVAL'); // the virtual function's group is missing
      // A new token by the feature.
      const bytes = new Uint8Array(24);
      bytes.set(uapi.vfio_device_feature.encode({ argsz: 24, flags: uapi.VFIO_DEVICE_FEATURE_PCI_VF_TOKEN | uapi.VFIO_DEVICE_FEATURE_SET }));
      other.replaceAll('-', '').match(/../g)?.forEach((hex, i) => { bytes[8 + i] = Number.parseInt(hex, 16); });
      bytes.set([23], 0); // argsz
      expect(await errnoOf(() => scratch.ioctl(pf.fd, uapi.VFIO_DEVICE_FEATURE, bytes))).toBe('EINVAL');
      bytes.set([24], 0);
      await scratch.ioctl(pf.fd, uapi.VFIO_DEVICE_FEATURE, bytes);
      await (await vfGroup.device(`${world.vf(0)} vf_token=${other}`)).close();
      await scratch.free();
      for (const file of [vfGroup, pf, pfGroup, container]) await file.close();
      await unbindVfio(p, world.vf(0));
      await p.writeFile(`/sys/bus/pci/devices/${world.pf}/sriov_numvfs`, '0\n', uapi.O_WRONLY);
      await unbindVfio(p, world.pf);
    });
    expect(await lab.close()).toEqual([]);
  });

  it('resets a bus for who has all of it', async () => {
    covers('2.13.5');
    const world = await World.create({ vfs: 0, modules: ['pci_pf_stub', 'vfio_pci'] });
    const { lab } = world;
    await lab.user(async (p) => {
      await bindVfio(p, world.pf);
      const { group, device, close } = await openVfio(p, world.pf);
      const scratch = await Scratch.create(p);
      const info = new Uint8Array(64);
      info.set(uapi.vfio_pci_hot_reset_info.encode({ argsz: 64 }));
      const told = await scratch.ioctl(device.fd, uapi.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info);
      expect(uapi.vfio_pci_hot_reset_info.decode(told).count).toBe(1);
      expect(uapi.vfio_pci_dependent_device.decode(told, 12)).toEqual({ group_id: await groupOf(p, world.pf), segment: 0, bus: 7, devfn: 0 });
      const at = await device.map(0, 0, 4096, uapi.PROT_READ).catch(() => device.map(4, 0, 4096, uapi.PROT_READ));
      const arg = new Uint8Array(16);
      arg.set(uapi.vfio_pci_hot_reset.encode({ argsz: 16, count: 1 }));
      new DataView(arg.buffer).setInt32(12, group.fd, true);
      await scratch.ioctl(device.fd, uapi.VFIO_DEVICE_PCI_HOT_RESET, arg);
      expect(await device.load(uapi.VFIO_PCI_CONFIG_REGION_INDEX, uapi.PCI_VENDOR_ID, 2)).toBe(0x1af4);
      await p.munmap(at, 4096);
      await scratch.free();
      await close();
      await unbindVfio(p, world.pf);
    });
    expect(await lab.close()).toEqual([]);
  });

  it('passes a pin on by eventfd, masked until user space has seen to it', async () => {
    covers('2.13.3');
    const lab = await createLab({
      config: { ...worldConfig(), pci: { functions: [{ at: '00:04.0', model: 'virtio-net', link: 'sw0', disable_modern: true, vectors: 0 }] } },
    });
    const bdf = '0000:00:04.0';
    await lab.user(async (p) => {
      await modprobe(lab, p, 'vfio_pci');
      await bindVfio(p, bdf);
      const { device, close } = await openVfio(p, bdf);
      const INTX = uapi.VFIO_PCI_INTX_IRQ_INDEX;
      const head = await p.mmap(4096, uapi.PROT_READ | uapi.PROT_WRITE, uapi.MAP_PRIVATE | uapi.MAP_ANONYMOUS);
      p.proc.mm.write(head, uapi.vfio_pci_hot_reset_info.encode({ argsz: 64 }));
      expect(await device.irqInfo(INTX)).toMatchObject({ count: 1, flags: 7 });
      const { VFIO_IRQ_SET_DATA_NONE: NONE, VFIO_IRQ_SET_DATA_BOOL: BOOL, VFIO_IRQ_SET_DATA_EVENTFD: EVENTFD, VFIO_IRQ_SET_ACTION_TRIGGER: TRIGGER, VFIO_IRQ_SET_ACTION_MASK: MASK, VFIO_IRQ_SET_ACTION_UNMASK: UNMASK } = uapi;
      const set = (flags: number, data?: Uint8Array, start = 0, count = 1): Promise<string> => errnoOf(() => device.setIrqs(INTX, start, count, flags, data));
      const fd32 = (fd: number): Uint8Array => new Uint8Array(Int32Array.of(fd).buffer);
      expect([await set(NONE | MASK), await set(NONE | UNMASK), await set(NONE | TRIGGER)]).toEqual(['EINVAL', 'EINVAL', 'EINVAL']); // off
      expect(await set(EVENTFD | TRIGGER, fd32(99))).toBe('EBADF');
      const [fd, unmask] = [p.eventfd(), p.eventfd()];
      expect(await set(EVENTFD | TRIGGER, fd32(fd))).toBe('ok');
      expect(await p.readFile('/proc/interrupts')).toContain(`vfio-intx(${bdf})`);
      expect(await set(EVENTFD | MASK, fd32(fd))).toBe('ENOTTY');
      expect([await set(NONE | TRIGGER, undefined, 1), await set(NONE | TRIGGER, undefined, 0, 2)]).toEqual(['EINVAL', 'EINVAL']); // one pin
      expect(await errnoOf(() => p.ioctl(device.fd, uapi.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, head))).toBe('ENODEV'); // nothing above it resets its bus
      const ready = async (): Promise<boolean> => ((await p.poll([{ fd, events: uapi.POLLIN }], 0))[0] ?? 0) !== 0;
      expect(await set(NONE | TRIGGER)).toBe('ok');
      expect(await ready()).toBe(true);
      await p.read(fd, 8);
      expect([await set(NONE | MASK), await set(BOOL | UNMASK, Uint8Array.of(0)), await set(BOOL | UNMASK, Uint8Array.of(1))]).toEqual(['ok', 'ok', 'ok']);
      expect(await set(EVENTFD | UNMASK, fd32(unmask))).toBe('ok');
      expect(await set(EVENTFD | UNMASK, fd32(unmask))).toBe('EBUSY');
      expect(await set(NONE | MASK)).toBe('ok');
      await p.eventfdWrite(unmask);
      expect(await set(EVENTFD | UNMASK, fd32(-1))).toBe('ok');
      // The user's own mask in the command register.
      const CONFIG = uapi.VFIO_PCI_CONFIG_REGION_INDEX;
      await device.store(CONFIG, uapi.PCI_COMMAND, 2, uapi.PCI_COMMAND_INTX_DISABLE | uapi.PCI_COMMAND_MEMORY | uapi.PCI_COMMAND_IO);
      expect((await device.load(CONFIG, uapi.PCI_COMMAND, 2)) & uapi.PCI_COMMAND_INTX_DISABLE).not.toBe(0);
      await device.store(CONFIG, uapi.PCI_COMMAND, 2, uapi.PCI_COMMAND_MEMORY | uapi.PCI_COMMAND_IO);
      await device.disableIrqs(INTX);
      expect(await p.readFile('/proc/interrupts')).not.toContain('vfio-intx');
      expect(await errnoOf(() => device.reset())).toBe('EINVAL'); // no function level reset
      expect(await errnoOf(() => device.read(CONFIG, 0x100, 4))).toBe('EFAULT'); // 256 bytes
      expect(await errnoOf(() => device.irqInfo(uapi.VFIO_PCI_ERR_IRQ_INDEX))).toBe('EINVAL'); // not PCI Express
      await close();
      for (const one of [fd, unmask]) await p.close(one);
      await unbindVfio(p, bdf);
    });
    expect(await lab.close()).toEqual([]);
  });

  it('takes registers away while user space switches memory off, and gives them back', async () => {
    const lab = await createLab({
      config: { ...worldConfig(), pci: { functions: [{ at: '00:04.0', model: 'virtio-net', link: 'sw0', disable_legacy: true }] } },
    });
    const bdf = '0000:00:04.0';
    await lab.user(async (p) => {
      await modprobe(lab, p, 'vfio_pci');
      await bindVfio(p, bdf);
      const { device, close } = await openVfio(p, bdf);
      let bar = 0;
      while ((await device.regionInfo(bar)).flags !== 7) bar++; // mappable, and not the one with the interrupt table
      const at = await device.map(bar, 0, 4096, uapi.PROT_READ | uapi.PROT_WRITE);
      const CONFIG = uapi.VFIO_PCI_CONFIG_REGION_INDEX;
      const load = (): Promise<string> => errnoOf(async () => p.proc.mm.load(at, 4));
      await device.store(CONFIG, uapi.PCI_COMMAND, 2, uapi.PCI_COMMAND_MEMORY);
      expect([await load(), await errnoOf(() => device.load(bar, 0, 4))]).toEqual(['ok', 'ok']);
      await device.store(CONFIG, uapi.PCI_COMMAND, 2, 0);
      expect([await load(), await errnoOf(() => device.load(bar, 0, 4))]).toEqual(['EFAULT', 'EIO']);
      await device.store(CONFIG, uapi.PCI_COMMAND, 2, uapi.PCI_COMMAND_MEMORY);
      expect([await load(), await errnoOf(() => device.load(bar, 0, 4))]).toEqual(['ok', 'ok']);
      await p.munmap(at, 4096);
      await close();
      await unbindVfio(p, bdf);
    });
    expect(await lab.close()).toEqual([]);
  });

  it('takes no bridge, has one kind of interrupt on at a time, and a thousand eventfds for registers at most', async () => {
    const lab = await createLab({
      config: {
        ...worldConfig(), iommu: true,
        pci: { root_ports: [{ at: '00:01.0', bus: 7 }], functions: [{ at: '07:00.0', model: 'virtio-net' }] },
      },
    });
    const bdf = '0000:07:00.0';
    await lab.user(async (p) => {
      for (const name of ['vfio_pci', 'vfio_iommu_type1']) await modprobe(lab, p, name);
      expect(await errnoOf(() => bindVfio(p, '0000:00:01.0'))).toBe('EINVAL');
      await bindVfio(p, bdf);
      const { device, close } = await openVfio(p, bdf);
      const scratch = await Scratch.create(p);

      const { VFIO_PCI_MSIX_IRQ_INDEX: MSIX, VFIO_PCI_INTX_IRQ_INDEX: INTX, VFIO_IRQ_SET_DATA_NONE: NONE, VFIO_IRQ_SET_ACTION_TRIGGER: TRIGGER } = uapi;
      const event = p.eventfd();
      expect((await device.irqInfo(INTX)).count).toBe(1);
      await device.setTriggers(MSIX, [event]);
      expect(await errnoOf(() => device.setTriggers(INTX, [event]))).toBe('EINVAL');
      await device.disableIrqs(MSIX);
      await device.setTriggers(INTX, [event]);
      expect(await errnoOf(() => device.setTriggers(MSIX, [event]))).toBe('EINVAL');
      expect(await errnoOf(() => device.setIrqs(INTX, 0, 0, NONE | TRIGGER))).toBe('ok');

      let bar = 0;
      while ((await device.regionInfo(bar)).flags !== 7) bar++; // mappable, and not the one with the interrupt table
      const ioeventfd = (data: number): Promise<string> => errnoOf(() => scratch.ioctl(device.fd, uapi.VFIO_DEVICE_IOEVENTFD, uapi.vfio_device_ioeventfd.encode({
        argsz: uapi.vfio_device_ioeventfd.size, flags: uapi.VFIO_DEVICE_IOEVENTFD_16, offset: BigInt(bar) << 40n, data: BigInt(data), fd: event,
      })));
      const answers = [];
      for (let data = 0; data <= 1000; data++) answers.push(await ioeventfd(data));
      expect([answers.slice(0, -1).every((answer) => answer === 'ok'), answers.at(-1)]).toEqual([true, 'ENOSPC']);
      await scratch.free();
      await close();
      await p.close(event);
      await unbindVfio(p, bdf);
      await p.writeFile('/sys/bus/pci/devices/0000:00:01.0/driver_override', '\n', uapi.O_WRONLY);
    });
    expect(await lab.close()).toEqual([]);
  });
});
