/** The text of /proc/interrupts, with one CPU. Mirrors `kernel/irq/proc.c show_interrupts` (Linux 6.1). */
import type { IrqInfo } from './header.ts';

/** Width of the first column with fewer than a thousand interrupt numbers. */
const PREC = 3;

/**
 * Render the table.
 *
 * @param hwirq index of an interrupt within its chip
 * @param spurious interrupts nobody was there for
 */
export function procInterrupts(infos: readonly IrqInfo[], hwirq: (irq: number) => number, spurious: number): string {
  const line = (label: string, count: number, rest: string): string => `${label.padStart(PREC)}: ${String(count).padStart(10)} ${rest}\n`;
  const posted = infos.reduce((sum, info) => sum + info.posted, 0);
  const rows = infos.filter((info) => info.actions.length > 0 || info.count > 0).map((info) => {
    const chip = ` ${info.chip.padStart(8)} ${String(hwirq(info.irq)).padStart(PREC)}-${'edge'.padEnd(8)}`;
    return line(String(info.irq), info.count, info.actions.length === 0 ? chip : `${chip}  ${info.actions.join(', ')}`);
  });
  return [
    `${''.padStart(PREC + 8)}${'CPU0'.padEnd(11)}\n`,
    ...rows,
    line('SPU', spurious, '  Spurious interrupts'),
    `${'ERR'.padStart(PREC)}: ${'0'.padStart(10)}\n`,
    line('PIN', posted, '  Posted-interrupt notification event'),
  ].join('');
}
