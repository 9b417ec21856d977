/** What a command is. */
import { mlx5_cmd_in, mlx5_cmd_out } from '@vdpalab/uapi';
import type { ObjectTable } from '../objects.ts';
import type { Resources } from '../resources.ts';
import type { Vhca } from '../vhca.ts';

/** One command of the firmware. */
export interface Command {
  /** Fewest bytes of input and of output. */
  readonly input: number;
  readonly output: number;
  /** How far the function must be. */
  readonly needs: 'nothing' | 'enabled' | 'initialised';
  /** Whether only the physical function may. */
  readonly manager?: boolean;
  /** @param output zeros; status 0 is OK. @throws Refusal */
  readonly run: (vhca: Vhca, input: Uint8Array, output: Uint8Array) => undefined;
}

/** Bytes of a head, which is all that many commands have. */
export const HEAD = mlx5_cmd_in.size;

/** Commands by opcode. */
export type Commands = Readonly<Record<number, Command>>;

type TableOf<T> = (resources: Resources) => ObjectTable<T>;

/** A command that gives out numbers. */
export function alloc(table: TableOf<number>): Command {
  return {
    input: HEAD, output: HEAD, needs: 'initialised',
    run: ({ resources }, _, output) => mlx5_cmd_out.set(output, 'number', table(resources).add((number) => number)),
  };
}

/** A command that takes a number back, or an object by its number. @param check refuses while it is in use */
export function free<T>(table: TableOf<T>, check?: (object: T, vhca: Vhca) => undefined, gone?: (object: T) => undefined): Command {
  return {
    input: HEAD, output: 8, needs: 'initialised',
    run(vhca, input) {
      const number = mlx5_cmd_in.get(input, 'number');
      const objects = table(vhca.resources);
      check?.(objects.get(number), vhca);
      const object = objects.remove(number);
      gone?.(object);
    },
  };
}
