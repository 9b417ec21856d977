/** A 16550 that hears what it says. Mirrors `samples/vfio-mdev/mtty.c` (Linux 6.1), `handle_bar_write`, `handle_bar_read`. */
import {
  UART_FCR, UART_FCR_CLEAR_RCVR, UART_FCR_CLEAR_XMIT, UART_FCR_ENABLE_FIFO, UART_IER, UART_IER_MSI, UART_IER_RDI, UART_IER_RLSI, UART_IER_THRI,
  UART_IIR, UART_IIR_NO_INT, UART_IIR_RDI, UART_IIR_RLSI, UART_IIR_THRI, UART_LCR, UART_LCR_DLAB, UART_LSR, UART_LSR_DR, UART_LSR_OE,
  UART_LSR_TEMT, UART_LSR_THRE, UART_MCR, UART_MCR_AFE, UART_MCR_DTR, UART_MCR_OUT2, UART_MCR_RTS, UART_MSR, UART_MSR_CTS, UART_MSR_DCD,
  UART_MSR_DCTS, UART_MSR_DDSR, UART_MSR_DSR, UART_RX, UART_SCR, UART_TX,
} from '@vdpalab/uapi';

const MAX_FIFO_SIZE = 16;
/** Set in IIR to look like a 16550 with FIFOs. */
const IIR_FIFOS = 0xc0;

/** One port. What is sent waits in a FIFO until it is read. */
export class Uart {
  readonly #interrupt: () => void;
  readonly #regs = new Uint8Array(8);
  /** Sent and not yet received, oldest first. */
  readonly #fifo: number[] = [];
  #fifoSize = MAX_FIFO_SIZE;
  #overrun = false;
  #dlab = false;
  #divisor = 0;

  /** @param interrupt raises the device's interrupt */
  constructor(interrupt: () => void) {
    this.#interrupt = interrupt;
  }

  /** A write to a register. @param offset 0 to 7; others are no registers */
  write(offset: number, value: number): void {
    switch (offset) {
      case UART_TX:
        if (this.#dlab) this.#divisor |= value;
        else this.#send(value);
        break;
      case UART_IER:
        if (this.#dlab) {
          this.#divisor |= value << 8;
          break;
        }
        this.#regs[UART_IER] = value;
        if ((value & UART_IER_THRI) !== 0 && this.#fifo.length === 0) this.#interrupt();
        break;
      case UART_FCR:
        if ((value & (UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT)) !== 0) this.#fifo.length = 0;
        this.#fifoSize = (value & UART_FCR_ENABLE_FIFO) === 0 ? 1 : MAX_FIFO_SIZE;
        break;
      case UART_LCR:
        this.#dlab = (value & UART_LCR_DLAB) !== 0;
        if (this.#dlab) this.#divisor = 0;
        this.#regs[UART_LCR] = value;
        break;
      case UART_MCR:
        this.#regs[UART_MCR] = value;
        if (!this.#enabled(UART_IER_MSI)) break;
        if ((value & UART_MCR_OUT2) !== 0) this.#interrupt();
        if ((value & (UART_MCR_RTS | UART_MCR_DTR)) !== 0) this.#interrupt();
        break;
      case UART_SCR:
        this.#regs[UART_SCR] = value;
        break;
      default: // LSR and MSR are read only
    }
  }

  /** What a register reads as. @param offset 0 to 7; others read 0 */
  read(offset: number): number {
    switch (offset) {
      case UART_RX: return this.#dlab ? this.#divisor & 0xff : this.#receive();
      case UART_IER: return this.#dlab ? this.#divisor >> 8 : this.#reg(UART_IER) & 0x0f;
      case UART_IIR: return this.#pending() | IIR_FIFOS;
      case UART_LCR: case UART_MCR: case UART_SCR: return this.#reg(offset);
      case UART_LSR: return (this.#fifo.length > 0 ? UART_LSR_DR : UART_LSR_TEMT | UART_LSR_THRE) | (this.#overrun ? UART_LSR_OE : 0);
      case UART_MSR: return UART_MSR_DSR | UART_MSR_DDSR | UART_MSR_DCD | (this.#clearToSend() ? UART_MSR_CTS | UART_MSR_DCTS : 0);
      default: return 0;
    }
  }

  #send(value: number): void {
    if (this.#fifo.length < this.#fifoSize) {
      this.#fifo.push(value);
      this.#overrun = false;
      // As in Linux, the trigger level of FCR is not looked at: one byte is enough.
      if (this.#enabled(UART_IER_RDI) && this.#fifo.length === 1) this.#interrupt();
    } else {
      this.#overrun = true;
      if (this.#enabled(UART_IER_RLSI)) this.#interrupt();
    }
  }

  #receive(): number {
    const value = this.#fifo.shift() ?? 0;
    if (this.#fifo.length === 0 && this.#enabled(UART_IER_THRI)) this.#interrupt();
    return value;
  }

  /** Causes, or'ed as the sample does. */
  #pending(): number {
    let iir = 0;
    if (this.#enabled(UART_IER_RLSI) && this.#overrun) iir |= UART_IIR_RLSI;
    if (this.#enabled(UART_IER_RDI) && this.#fifo.length > 0) iir |= UART_IIR_RDI;
    if (this.#enabled(UART_IER_THRI) && this.#fifo.length === 0) iir |= UART_IIR_THRI;
    return iir === 0 ? UART_IIR_NO_INT : iir; // a modem status interrupt alone has no bits, and so looks like none
  }

  #clearToSend(): boolean {
    return (this.#reg(UART_MCR) & UART_MCR_AFE) === 0 || this.#fifo.length < this.#fifoSize;
  }

  #enabled(bit: number): boolean {
    return (this.#reg(UART_IER) & bit) !== 0;
  }

  #reg(offset: number): number {
    return this.#regs[offset]!; // 0 to 7
  }
}
