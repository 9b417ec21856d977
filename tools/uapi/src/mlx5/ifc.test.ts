import { expect, test } from 'vitest';
import * as mlx5 from './index.ts';
import { IfcLayout, mlx5_create_mkey_in, mlx5_eqe, mlx5_init_seg, mlx5_virtio_net_q, swab32 } from './index.ts';

test('fields are big endian, bit 0 the highest', () => {
  const bytes = mlx5_create_mkey_in.make({ opcode: 0x200, lw: 1, access_mode_1_0: 2, qpn: 0xff_ffff, start_addr: 0x1_0000_2000n, log_page_size: 12 }, 8);
  expect(bytes.length).toBe(0x118);
  expect([...bytes.subarray(0, 2)]).toEqual([0x02, 0x00]);
  expect([bytes[0x12], bytes[0x14], bytes[0x15], bytes[0x16], bytes[0x17]]).toEqual([0x0a, 0xff, 0xff, 0xff, 0]);
  expect([...bytes.subarray(0x20, 0x28)]).toEqual([0, 0, 0, 1, 0, 0, 0x20, 0]);
  expect(bytes[0x4b]).toBe(12);
  expect([mlx5_create_mkey_in.get(bytes, 'qpn'), mlx5_create_mkey_in.get(bytes, 'start_addr'), mlx5_create_mkey_in.get(bytes, 'lr')]).toEqual([0xff_ffff, 0x1_0000_2000n, 0]);
});

test('a set leaves its neighbours alone and cuts off what does not fit', () => {
  const layout = new IfcLayout('pair', 8, { a: [0, 12], b: [12, 20], c: [32, 32] });
  const bytes = layout.make({ a: 0xabc, b: 0xfffff, c: 0xffff_fffe });
  layout.set(bytes, 'a', 0x1123);
  expect([layout.get(bytes, 'a'), layout.get(bytes, 'b'), layout.get(bytes, 'c')]).toEqual([0x123, 0xfffff, 0xffff_fffe]);
  expect(layout.get(Uint8Array.of(9, ...bytes), 'b', 1)).toBe(0xfffff);
});

test('refuses a field that leaves its layout or crosses a word', () => {
  expect(() => new IfcLayout('long', 4, { a: [0, 64] })).toThrow(RangeError);
  expect(() => new IfcLayout('split', 8, { a: [24, 16] })).toThrow(RangeError);
});

test('structures lie where Linux has them', () => {
  expect([mlx5_init_seg.offsetof('cmd_dbell'), mlx5_init_seg.offsetof('initializing'), mlx5_init_seg.offsetof('health_counter')]).toEqual([0x18, 0x1fc, 0x1010]);
  expect([mlx5_eqe.offsetof('data'), mlx5_eqe.offsetof('owner')]).toEqual([32, 63]);
  expect(mlx5_virtio_net_q.offsetof('virtio_q_mkey')).toBe(0x68);
  expect(swab32(0x1234_5678)).toBe(0x7856_3412);
});

test('no two commands share a number', () => {
  const numbers = Object.entries(mlx5).filter(([name]) => name.startsWith('MLX5_CMD_OP_')).map(([, value]) => value);
  expect(new Set(numbers).size).toBe(numbers.length);
});
