import assert from 'node:assert/strict';
import { isPortsideError } from '../../src/base/errors.ts';
import { ByteQueue } from '../../src/codec/byte-queue.ts';
import { more } from '../../src/codec/codec.ts';
import { ProxyHeaderDecoder } from '../../src/codec/proxy-header.ts';
import type { ProxyHeader, ProxyHeaderOptions } from '../../src/codec/proxy-header.ts';

export const INVALID = 'ERR_PORTSIDE_PROXY_HEADER';
export const UNEXPECTED_END = 'ERR_PORTSIDE_UNEXPECTED_END';

/** What a header without extensions tells of them. */
export const plain: Omit<ProxyHeader, 'version' | 'command' | 'source' | 'destination' | 'transport'> = {
  alpn: null,
  authority: null,
  uniqueId: null,
  netns: null,
  ssl: null,
  tlvs: [],
};

/** Two addresses, and their bytes in version 2. */
export const inet = {
  source: { family: 'ipv4', host: '10.0.0.1', port: 56_316 },
  destination: { family: 'ipv4', host: '192.168.1.11', port: 443 },
} as const;
export const INET = '0a000001c0a8010bdbfc01bb';

/** What became of an input: the header, the error's code and message, and what was left behind it. */
export interface Outcome {
  readonly header: ProxyHeader | null;
  readonly code: string | null;
  readonly message: string;
  readonly rest: string;
}

/** Decodes chunks, each from memory of its own, up to the header, the error, or the end of input. Fails when something else than the house's errors is thrown. */
export function outcomeOf(chunks: Iterable<Uint8Array>, options?: ProxyHeaderOptions): Outcome {
  const decoder = new ProxyHeaderDecoder(options);
  const queue = new ByteQueue();
  let header: ProxyHeader | null = null;
  const note = (found: ProxyHeader | typeof more): void => {
    if (found === more) return;
    assert.equal(header, null, 'one header only');
    header = found;
  };
  try {
    for (const chunk of chunks) {
      queue.append(new Uint8Array(chunk));
      note(decoder.decode(queue));
    }
    note(decoder.end(queue));
  } catch (error) {
    assert.ok(isPortsideError(error), String(error));
    assert.throws(
      () => decoder.decode(queue),
      (again) => again === error,
      'it stays failed',
    );
    return { header, code: error.code, message: error.message, rest: '' };
  }
  return { header, code: null, message: '', rest: Buffer.from(queue.takeAll()).toString('latin1') };
}

/** What becomes of an input, however it is cut: in two at every byte, and byte by byte. */
export function splitInvariant(bytes: Uint8Array, options?: ProxyHeaderOptions): Outcome {
  const whole = outcomeOf([bytes], options);
  // An error that is known early may tell less of what comes later, but it is the same error.
  for (let i = 1; i < bytes.length; i++) {
    assert.deepEqual(outcomeOf([bytes.subarray(0, i), bytes.subarray(i)], options), whole, `cut after byte ${i}`);
  }
  const single = Array.from(bytes, (byte) => Uint8Array.of(byte));
  assert.deepEqual(outcomeOf(single, options), whole, 'byte by byte');
  return whole;
}

/** The header that an input begins with, however it is cut; fails unless `rest` is what follows it. */
export function headerOf(bytes: Uint8Array, rest = ''): ProxyHeader {
  const outcome = splitInvariant(bytes);
  assert.ok(outcome.header !== null, outcome.message);
  assert.equal(outcome.rest, rest);
  return outcome.header;
}

/** Fails unless an input is refused with these words, however it is cut. */
export function refused(bytes: Uint8Array, says: RegExp, code: string = INVALID): void {
  const outcome = splitInvariant(bytes);
  assert.equal(outcome.code, code, JSON.stringify(outcome));
  assert.match(outcome.message, says);
}

export const SIGNATURE = '0d0a0d0a000d0a515549540a';

/** A header of version 2 from hexadecimal: command, family, and what its length counts; `length` to lie about that. */
export function v2(command: string, family: string, body = '', length: number = body.length / 2): Buffer {
  return Buffer.from(`${SIGNATURE}${command}${family}${length.toString(16).padStart(4, '0')}${body}`, 'hex');
}

/** One TLV as hexadecimal; text as it is. */
export function tlv(type: number, value: string | Uint8Array): string {
  const bytes = Buffer.from(value);
  return type.toString(16).padStart(2, '0') + bytes.length.toString(16).padStart(4, '0') + bytes.toString('hex');
}
