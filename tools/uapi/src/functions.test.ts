import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as uapi from './index.ts';

describe('bit sets', () => {
  test('hold the bits they were made of', () => {
    const set = uapi.bits(uapi.VIRTIO_F_VERSION_1, uapi.VIRTIO_NET_F_MAC);
    expect(set).toBe(0x1_0000_0020n);
    expect(uapi.hasBit(set, 32)).toBe(true);
    expect(uapi.hasBit(set, 33)).toBe(false);
    expect(uapi.bit(63)).toBe(1n << 63n);
    expect(uapi.bits()).toBe(0n);
  });
});

describe('ioctl numbers', () => {
  test('are what strace shows', () => {
    expect(uapi.VHOST_SET_OWNER).toBe(0xaf01);
    expect(uapi.VHOST_GET_FEATURES).toBe(0x8008af00);
    expect(uapi.VHOST_VDPA_GET_DEVICE_ID).toBe(0x8004af70);
    expect(uapi.VHOST_VDPA_GET_IOVA_RANGE).toBe(0x8010af78);
    expect(uapi.VHOST_NEW_WORKER).toBe(0x8004af08);
    expect(uapi.VHOST_GET_FEATURES_ARRAY).toBe(0x8008af83);
    expect(uapi.VHOST_SET_FORK_FROM_OWNER).toBe(0x4001af84);
    expect(uapi.VHOST_GET_FORK_FROM_OWNER).toBe(0x8001af85);
    expect(uapi.VFIO_DEVICE_BIND_IOMMUFD).toBe(0x3b76);
  });

  test('fall apart into what they were made of', () => {
    const field = (bits: number) => fc.nat(2 ** bits - 1);
    fc.assert(
      fc.property(fc.nat(3), field(8), field(8), field(14), (dir, type, nr, size) => {
        const cmd = uapi._IOC(dir, type, nr, size);
        const parts = [uapi._IOC_DIR(cmd), uapi._IOC_TYPE(cmd), uapi._IOC_NR(cmd), uapi._IOC_SIZE(cmd)];
        expect(parts).toEqual([dir, type, nr, size]);
        expect(cmd).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

describe('errnos', () => {
  test('have names, aliases apart', () => {
    expect(uapi.errnoName(11)).toBe('EAGAIN');
    expect(uapi.errnoName(35)).toBe('EDEADLK');
    expect(uapi.errnoName(524)).toBe('ENOTSUPP');
    expect(uapi.errnoName(0)).toBeUndefined();
    expect(uapi.ERRNO.EWOULDBLOCK).toBe(uapi.ERRNO.EAGAIN);
  });

  test('have the texts that programs print', () => {
    expect(uapi.strerror(0)).toBe('Success');
    expect(uapi.strerror('EBUSY')).toBe('Device or resource busy');
    expect(uapi.strerror('ENOTSUPP')).toBe('Unknown error 524');
    expect(uapi.strerror(41)).toBe('Unknown error 41');
  });
});

describe('split ring sizes', () => {
  test('of a ring of 256 are those of the specification', () => {
    expect(uapi.vring_desc_table_size(256)).toBe(4096);
    expect(uapi.vring_avail_size(256)).toBe(6 + 2 * 256);
    expect(uapi.vring_used_size(256)).toBe(6 + 8 * 256);
    expect(uapi.vring_size(256, 4096)).toBe(8192 + 6 + 8 * 256);
  });
});

describe('vring_need_event', () => {
  test('is true exactly when the event index was passed on the way', () => {
    const u16 = fc.nat(0xffff);
    fc.assert(
      fc.property(u16, fc.nat(0x1fff), u16, (old, steps, event) => {
        const passed = Array.from({ length: steps }, (_, i) => (old + i) & 0xffff).includes(event);
        expect(uapi.vring_need_event(event, (old + steps) & 0xffff, old)).toBe(passed);
      }),
    );
    expect(uapi.vring_need_event(0xffff, 0, 0xffff)).toBe(true);
  });
});

describe('netlink alignment', () => {
  test('rounds up to four bytes', () => {
    expect([0, 1, 4, 5].map(uapi.NLMSG_ALIGN)).toEqual([0, 4, 4, 8]);
    expect([0, 1, 4, 5].map(uapi.NLA_ALIGN)).toEqual([0, 4, 4, 8]);
    expect([uapi.NLMSG_LENGTH(5), uapi.NLMSG_SPACE(5)]).toEqual([21, 24]);
  });
});

describe('PCI numbers', () => {
  test('of a function are its bus, slot and function', () => {
    const devfn = uapi.PCI_DEVFN(0x1f, 2);
    expect([devfn, uapi.PCI_SLOT(devfn), uapi.PCI_FUNC(devfn)]).toEqual([0xfa, 0x1f, 2]);
    expect([uapi.PCI_DEVID(7, devfn), uapi.PCI_BUS_NUM(0x07fa)]).toEqual([0x07fa, 7]);
  });

  test('in an extended capability header are id, version and next', () => {
    const header = 0x1401_0010;
    expect([uapi.PCI_EXT_CAP_ID(header), uapi.PCI_EXT_CAP_VER(header)]).toEqual([uapi.PCI_EXT_CAP_ID_SRIOV, 1]);
    expect(uapi.PCI_EXT_CAP_NEXT(header)).toBe(0x140);
    expect([uapi.PCI_VNDR_HEADER_ID(0xabc1_1234), uapi.PCI_VNDR_HEADER_LEN(0xabc1_1234)]).toEqual([0x1234, 0xabc]);
  });

  test('place the legacy device configuration behind the vectors when MSI-X is on', () => {
    expect([uapi.VIRTIO_PCI_CONFIG_OFF(false), uapi.VIRTIO_PCI_CONFIG_OFF(true)]).toEqual([20, 24]);
  });
});

describe('file modes', () => {
  test('tell the file types apart', () => {
    expect(uapi.S_ISDIR(uapi.S_IFDIR | 0o755)).toBe(true);
    expect(uapi.S_ISREG(uapi.S_IFDIR | 0o755)).toBe(false);
    expect(uapi.S_ISREG(uapi.S_IFREG)).toBe(true);
    expect(uapi.S_ISCHR(uapi.S_IFCHR)).toBe(true);
    expect(uapi.S_ISLNK(uapi.S_IFLNK)).toBe(true);
    // S_IFSOCK holds the bits of S_IFREG and S_IFDIR.
    expect([uapi.S_ISREG(uapi.S_IFSOCK), uapi.S_ISDIR(uapi.S_IFBLK)]).toEqual([false, false]);
  });
});
