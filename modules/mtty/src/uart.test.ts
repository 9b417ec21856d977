import * as uapi from '@vdpalab/uapi';
import { covers } from '@vdpalab/testing';
import { expect, it } from 'vitest';
import { Uart } from './uart.ts';

function port(): { uart: Uart; interrupts: () => number } {
  let n = 0;
  const uart = new Uart(() => void n++);
  return { uart, interrupts: () => [n, n = 0][0]! };
}

const send = (uart: Uart, text: string): void => [...text].forEach((letter) => uart.write(uapi.UART_TX, letter.charCodeAt(0)));

it('hears what it says, in order, and says when there is something to hear', () => {
  covers('2.11.9');
  const { uart } = port();
  expect(uart.read(uapi.UART_LSR)).toBe(uapi.UART_LSR_TEMT | uapi.UART_LSR_THRE);
  send(uart, 'mtty');
  expect(uart.read(uapi.UART_LSR)).toBe(uapi.UART_LSR_DR);
  expect(String.fromCharCode(...[1, 2, 3, 4].map(() => uart.read(uapi.UART_RX)))).toBe('mtty');
  expect([uart.read(uapi.UART_RX), uart.read(uapi.UART_LSR)]).toEqual([0, 0x60]);
});

it('holds 16 bytes with its FIFO and one without, and reports what was lost', () => {
  const { uart } = port();
  send(uart, '0123456789abcdefX');
  expect(uart.read(uapi.UART_LSR)).toBe(uapi.UART_LSR_DR | uapi.UART_LSR_OE);
  uart.write(uapi.UART_FCR, uapi.UART_FCR_CLEAR_RCVR | uapi.UART_FCR_ENABLE_FIFO);
  expect(uart.read(uapi.UART_LSR) & uapi.UART_LSR_DR).toBe(0);
  send(uart, 'a');
  expect(uart.read(uapi.UART_LSR)).toBe(uapi.UART_LSR_DR); // the next byte that fits clears the overrun
  uart.write(uapi.UART_FCR, uapi.UART_FCR_CLEAR_XMIT);
  send(uart, 'ab');
  expect([uart.read(uapi.UART_RX), uart.read(uapi.UART_RX)]).toEqual([0x61, 0]);
});

it('interrupts for what is enabled, and says which it was', () => {
  const { uart, interrupts } = port();
  const iir = (): number => uart.read(uapi.UART_IIR) & uapi.UART_IIR_ID;
  expect([uart.read(uapi.UART_IIR), interrupts()]).toEqual([0xc0 | uapi.UART_IIR_NO_INT, 0]);
  uart.write(uapi.UART_IER, uapi.UART_IER_RDI);
  send(uart, 'ab');
  expect([interrupts(), iir()]).toEqual([1, uapi.UART_IIR_RDI]); // the first of a row
  uart.write(uapi.UART_IER, uapi.UART_IER_THRI);
  expect([interrupts(), iir()]).toEqual([0, 0]);
  uart.read(uapi.UART_RX);
  uart.read(uapi.UART_RX);
  expect([interrupts(), iir()]).toEqual([1, uapi.UART_IIR_THRI]);
  uart.write(uapi.UART_IER, uapi.UART_IER_THRI); // empty already
  expect(interrupts()).toBe(1);
  uart.write(uapi.UART_IER, uapi.UART_IER_RLSI);
  send(uart, '0123456789abcdefX');
  expect([interrupts(), iir()]).toEqual([1, uapi.UART_IIR_RLSI]);
  uart.write(uapi.UART_IER, uapi.UART_IER_MSI);
  uart.write(uapi.UART_MCR, uapi.UART_MCR_OUT2 | uapi.UART_MCR_RTS);
  expect(interrupts()).toBe(2);
});

it('has a divisor behind its latch, a scratch register, and modem lines', () => {
  const { uart } = port();
  uart.write(uapi.UART_LCR, uapi.UART_LCR_DLAB | uapi.UART_LCR_WLEN8);
  uart.write(uapi.UART_TX, 0x0c);
  uart.write(uapi.UART_IER, 0x01);
  expect([uart.read(uapi.UART_RX), uart.read(uapi.UART_IER), uart.read(uapi.UART_LCR)]).toEqual([0x0c, 0x01, 0x83]);
  uart.write(uapi.UART_LCR, uapi.UART_LCR_WLEN8);
  expect([uart.read(uapi.UART_RX), uart.read(uapi.UART_IER)]).toEqual([0, 0]);
  uart.write(uapi.UART_SCR, 0x5a);
  uart.write(uapi.UART_LSR, 0xff);
  uart.write(uapi.UART_MSR, 0xff);
  uart.write(9, 0xff);
  expect([uart.read(uapi.UART_SCR), uart.read(uapi.UART_LSR), uart.read(9)]).toEqual([0x5a, 0x60, 0]);
  const ready = uapi.UART_MSR_DSR | uapi.UART_MSR_DDSR | uapi.UART_MSR_DCD;
  expect(uart.read(uapi.UART_MSR)).toBe(ready | uapi.UART_MSR_CTS | uapi.UART_MSR_DCTS);
  uart.write(uapi.UART_MCR, uapi.UART_MCR_AFE);
  send(uart, '0123456789abcdef');
  expect(uart.read(uapi.UART_MSR)).toBe(ready); // full: not clear to send
});
