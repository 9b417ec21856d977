/** The signature a build may append to a module's file. @see `include/linux/module_signature.h` (Linux 6.1) */
import { latin1 } from './format.ts';

/** What the file ends with when it is signed. */
export const SIGNATURE_MARK = '~Module signature appended~\n';

/** Bytes of `struct module_signature`, before the mark. */
const RECORD = 12;

/** An appended signature. */
export interface ModuleSignature {
  /** `enum pkey_id_type`: 2 is PKCS#7. */
  readonly idType: number;
  /** The signature message itself. */
  readonly message: Uint8Array;
  /** Bytes of the file that are signed: all before the signature. */
  readonly signedLength: number;
}

/** The signature at a file's end; `null` when it is unsigned or the lengths lie. */
export function signatureOf(bytes: Uint8Array): ModuleSignature | null {
  const end = bytes.length - SIGNATURE_MARK.length;
  if (end < RECORD || latin1(bytes.subarray(end)) !== SIGNATURE_MARK) return null;
  const record = new DataView(bytes.buffer, bytes.byteOffset + end - RECORD, RECORD);
  const length = record.getUint32(8); // big endian
  const signedLength = end - RECORD - length;
  if (length === 0 || signedLength <= 0) return null;
  return { idType: record.getUint8(2), message: bytes.subarray(signedLength, end - RECORD), signedLength };
}

/** A file with a signature message appended. */
export function appendSignature(bytes: Uint8Array, message: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length + message.length + RECORD + SIGNATURE_MARK.length);
  out.set(bytes);
  out.set(message, bytes.length);
  const record = new DataView(out.buffer, bytes.length + message.length, RECORD);
  record.setUint8(2, 2); // PKEY_ID_PKCS7
  record.setUint32(8, message.length);
  out.set(new TextEncoder().encode(SIGNATURE_MARK), out.length - SIGNATURE_MARK.length);
  return out;
}
