/** Every kind of parameter. */
import { defineModule, param } from '@vdpalab/abi';
import type { ParamSpec } from '@vdpalab/abi';
import type { ModuleFileInfo } from '@vdpalab/lab';

const int = param.int(0);

/** A parameter with a set of its own: 0 to 10. */
const limited: ParamSpec<number> = param.custom({
  desc: '0..10, -ERANGE otherwise', default: 5, perm: 0o644, show: String,
  schema: int.schema.refine((n) => n >= 0 && n <= 10, { error: 'ERANGE' }),
});

export const modinfo: ModuleFileInfo = {
  path: 'kernel/samples/rk/rk_params.ko', srcversion: '08CB91CD403E2037D1571AA', intree: false, signed: false,
  fields: [
    ['softdep', 'pre: rk_noexit post: rk_user'], ['firmware', 'rk/blob.bin'], ['alias', 'rk:type*'], ['alias', 'rk-first-alias'],
    ['description', 'every kind of parameter'], ['author', 'B. Two <b@example.org>'], ['author', 'A. One'], ['version', '1.2.3'], ['license', 'GPL'],
  ],
};

export default defineModule({
  name: 'rk_params',
  license: 'GPL',
  description: 'every kind of parameter',
  author: 'B. Two <b@example.org>',
  version: '1.2.3',
  alias: ['rk:type*', 'rk-first-alias'],
  softdep: ['pre: rk_noexit post: rk_user'],
  params: {
    b: param.bool(false, { perm: 0o644, desc: 'a bool' }),
    i: param.int(7, { perm: 0o644, desc: 'an int (default 7)' }),
    u: param.uint(0, { perm: 0o644 }),
    ul: param.ulong(0n, { perm: 0o644 }),
    s: param.short(0, { perm: 0o644 }),
    us: param.ushort(0, { perm: 0o644 }),
    by: param.byte(0, { perm: 0o644 }),
    ull: param.ullong(0n, { perm: 0o644 }),
    hexi: param.hexint(0, { perm: 0o644 }),
    str: param.charp('dflt', { perm: 0o644, desc: 'a string' }),
    arr: param.array(int, 4, [1, 2], { perm: 0o644, desc: 'up to four ints' }),
    not_b: param.invbool(true, { perm: 0o444 }),
    fixed: param.string(8, 'abc', { perm: 0o644 }),
    hidden: param.int(3),
    lim: limited,
  },
  imports: ['_printk'],

  module_init(k, { params: p }) {
    const room = [1, 2, 0, 0]; // the array as it lies in memory: what was not given stays
    p.arr.forEach((value, at) => {
      room[at] = value;
    });
    k._printk(6, `rk_params: b=${Number(p.b)} i=${p.i} u=${p.u} str=${p.str ?? '(null)'} arr_n=${p.arr.length} arr=${room.join(',')} `
      + `not_b=${Number(p.not_b)} fixed=${p.fixed} hidden=${p.hidden} lim=${p.lim}`);
    return { ksymtab: {} };
  },
});
