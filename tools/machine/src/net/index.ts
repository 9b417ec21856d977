/** Networks between functions: wires, switches, captures. */
export * from './frame-pool.ts';
export * from './injection.ts';
export * from './mac-table.ts';
export * from './pcap-reader.ts';
export * from './pcap-writer.ts';
export * from './port.ts';
export * from './responder/index.ts';
export * from './switch.ts';
export * from './wire.ts';
