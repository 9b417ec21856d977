/** `linux/serial_reg.h` (Linux 6.1): registers of a 16550 and their bits. Some offsets are one register when read and another when written. */

export const UART_RX = 0;
export const UART_TX = 0;

export const UART_IER = 1;
export const UART_IER_MSI = 0x08;
export const UART_IER_RLSI = 0x04;
export const UART_IER_THRI = 0x02;
export const UART_IER_RDI = 0x01;

export const UART_IIR = 2;
export const UART_IIR_NO_INT = 0x01;
export const UART_IIR_ID = 0x0e;
export const UART_IIR_MSI = 0x00;
export const UART_IIR_THRI = 0x02;
export const UART_IIR_RDI = 0x04;
export const UART_IIR_RLSI = 0x06;

export const UART_FCR = 2;
export const UART_FCR_ENABLE_FIFO = 0x01;
export const UART_FCR_CLEAR_RCVR = 0x02;
export const UART_FCR_CLEAR_XMIT = 0x04;
export const UART_FCR_TRIGGER_MASK = 0xc0;
export const UART_FCR_TRIGGER_1 = 0x00;
export const UART_FCR_TRIGGER_4 = 0x40;
export const UART_FCR_TRIGGER_8 = 0x80;
export const UART_FCR_TRIGGER_14 = 0xc0;

export const UART_LCR = 3;
export const UART_LCR_DLAB = 0x80;
export const UART_LCR_WLEN8 = 0x03;

export const UART_MCR = 4;
export const UART_MCR_AFE = 0x20;
export const UART_MCR_LOOP = 0x10;
export const UART_MCR_OUT2 = 0x08;
export const UART_MCR_OUT1 = 0x04;
export const UART_MCR_RTS = 0x02;
export const UART_MCR_DTR = 0x01;

export const UART_LSR = 5;
export const UART_LSR_TEMT = 0x40;
export const UART_LSR_THRE = 0x20;
export const UART_LSR_OE = 0x02;
export const UART_LSR_DR = 0x01;

export const UART_MSR = 6;
export const UART_MSR_DCD = 0x80;
export const UART_MSR_RI = 0x40;
export const UART_MSR_DSR = 0x20;
export const UART_MSR_CTS = 0x10;
export const UART_MSR_DDSR = 0x02;
export const UART_MSR_DCTS = 0x01;

export const UART_SCR = 7;
