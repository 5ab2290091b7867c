import { addressWords, formatIPv6, formatIPv6Mixed } from './address-words.ts';
import { readHost } from './proxy-address.ts';
import { noExtensions, noTlvs, proxyInvalid } from './proxy-types.ts';
import type { ProxyAddress, ProxyHeader } from './proxy-types.ts';

/** The longest line, its ending included. */
export const LONGEST_LINE = 107;
const CR = '\r';
const PORT = /^(?:0|[1-9]\d{0,4})$/u;

// Used within one call.
const words = addressWords();

const unknown: ProxyHeader = Object.freeze({
  version: 1,
  command: 'local',
  source: null,
  destination: null,
  transport: null,
  tlvs: noTlvs,
  ...noExtensions,
});

/** Reads the line of a header of version 1, given with the LF that ends it. */
export function parseV1(bytes: Uint8Array): ProxyHeader {
  const line = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length - 1).toString('latin1');
  // A CR or LF by itself ends a line for some readers, and what follows would be a header, or data, of the client's own making.
  if (line.indexOf(CR) !== line.length - 1)
    throw proxyInvalid('decode', 'its line must end in CR LF, and have neither before');
  const fields = line.slice(0, -1).split(' ');
  const [, protocol] = fields;
  if (protocol === 'UNKNOWN') return unknown;
  if (protocol !== 'TCP4' && protocol !== 'TCP6')
    throw proxyInvalid('decode', 'the second word of its line must be TCP4, TCP6 or UNKNOWN');
  if (fields.length !== 6)
    throw proxyInvalid('decode', `its line must have six words with one space between, and has ${fields.length}`);
  const [, , source = '', destination = '', sourcePort = '', destinationPort = ''] = fields;
  const family = protocol === 'TCP4' ? 'ipv4' : 'ipv6';
  return {
    version: 1,
    command: 'proxy',
    source: { family, host: hostOf(family, source, 'source'), port: portOf(sourcePort, 'source') },
    destination: {
      family,
      host: hostOf(family, destination, 'destination'),
      port: portOf(destinationPort, 'destination'),
    },
    transport: 'stream',
    tlvs: noTlvs,
    ...noExtensions,
  };
}

function hostOf(family: 'ipv4' | 'ipv6', text: string, what: string): string {
  if (!readHost(family, text, words))
    throw proxyInvalid('decode', `its ${what} is no ${family === 'ipv4' ? 'IPv4' : 'IPv6'} address`);
  return family === 'ipv4' ? text : formatIPv6Mixed(words);
}

function portOf(text: string, what: string): number {
  const port = PORT.test(text) ? Number(text) : Infinity;
  if (port > 65_535)
    throw proxyInvalid('decode', `its ${what} port is no number from 0 to 65535 without leading zeros`);
  return port;
}

/** The line of version 1. What it can't carry makes it `UNKNOWN`. */
export function encodeV1(source: ProxyAddress | null, destination: ProxyAddress | null, stream: boolean): Uint8Array {
  return new TextEncoder().encode(`PROXY ${wordsOf(source, destination, stream)}\r\n`);
}

function wordsOf(source: ProxyAddress | null, destination: ProxyAddress | null, stream: boolean): string {
  if (source === null || destination === null || !stream) return 'UNKNOWN';
  if (source.family === 'unix' || destination.family === 'unix' || source.family !== destination.family)
    return 'UNKNOWN';
  const protocol = source.family === 'ipv4' ? 'TCP4' : 'TCP6';
  return `${protocol} ${plainHost(source)} ${plainHost(destination)} ${source.port} ${destination.port}`;
}

/** The specification knows no dots in IPv6. */
function plainHost({ family, host }: Exclude<ProxyAddress, { family: 'unix' }>): string {
  return family === 'ipv6' && readHost(family, host, words) ? formatIPv6(words) : host;
}
