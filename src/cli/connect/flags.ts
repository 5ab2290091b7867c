import { InvalidArgumentError } from 'commander';
import { parseEndpoint } from '../../net/endpoint.ts';
import { isPortsideError } from '../../base/errors.ts';
import type { Address } from '../../transport/address.ts';
import { tcpAddress } from '../../transport/address.ts';
import { isIP } from '../../transport/ip.ts';
import { duration, oneOfWords } from '../flag-values.ts';
import type { FlagGroup } from '../flag.ts';

const time = duration({ none: true, min: 1 });

/** The options of `portside connect`. `option` is the dotted name in `ConnectOptions`, or in what the conversation goes by. */
export const connectFlags: readonly FlagGroup[] = [
  {
    heading: 'TLS:',
    flags: [
      { flags: '--tls', what: 'begin with TLS, as an endpoint that begins with tls:// does', option: null },
      {
        flags: '--servername <name>',
        what: 'the name to ask for, which the certificate has to be for (default: the host)',
        option: 'tls.servername',
      },
      {
        flags: '--ca <file>',
        what: 'whom the certificate has to come from, as PEM; may be given several times (default: whom Node trusts)',
        option: 'tls.ca',
        list: 'times',
      },
      { flags: '--cert <file>', what: 'a certificate of your own, and its chain, as PEM', option: 'tls.cert' },
      { flags: '--key <file>', what: 'its private key, as PEM', option: 'tls.key' },
      {
        flags: '--alpn <names>',
        what: 'protocols to offer, the best first, with commas',
        option: 'tls.alpn',
        list: 'commas',
      },
      { flags: '--insecure', what: 'talk to whoever answers, whatever the certificate; for trying only', option: null },
    ],
  },
  {
    heading: 'As a proxy:',
    flags: [
      {
        flags: '--proxy <version>',
        what: 'send a PROXY header first: v1, v2, or local, as health checks do',
        option: 'proxy.version',
        read: oneOfWords('v1', 'v2', 'local'),
      },
      {
        flags: '--proxy-source <address>',
        what: 'the client that it tells: 192.0.2.1:50000, [2001:db8::1]:50000, unix:/x.sock (default: this side)',
        option: 'proxy.source',
        read: socketAddress,
      },
      {
        flags: '--proxy-destination <address>',
        what: 'where that client connected to (default: the server)',
        option: 'proxy.destination',
        read: socketAddress,
      },
    ],
  },
  {
    heading: 'What is sent and shown:',
    flags: [
      { flags: '--crlf', what: 'send lines that end in CRLF, whatever they end in', option: 'crlf' },
      {
        flags: '--lines',
        what: 'show whole lines, on a terminal with -> and <- in front, and nothing that could steer it',
        option: 'lines',
        conflicts: ['hex'],
      },
      { flags: '--hex', what: 'show both directions in hexadecimal, with -> and <- in front', option: 'hex' },
      {
        flags: '--no-half-close',
        what: 'do not tell the server that the input has ended',
        option: 'halfClose',
      },
    ],
  },
  {
    heading: 'How long things may take (500ms, 30s, 5m, 1h, none):',
    flags: [
      {
        flags: '--timeout <time>',
        what: 'until it is connected, TLS and all (default: 30s)',
        option: 'timeout',
        read: time,
      },
      {
        flags: '--idle <time>',
        what: 'without a byte in either direction (default: none)',
        option: 'idle',
        read: time,
      },
      {
        flags: '--wait <time>',
        what: 'for the end of one side, when the other has ended (default: none)',
        option: 'wait',
        read: duration({ none: true }),
      },
    ],
  },
  {
    heading: 'Options:',
    flags: [
      {
        flags: '-q, --quiet',
        what: 'tell nothing but errors',
        option: 'quiet',
        conflicts: ['verbose'],
      },
      {
        flags: '-v, --verbose',
        what: 'tell what it is connected to, and how it ended, though this is no terminal',
        option: 'verbose',
      },
    ],
  },
];

/** A numeric address with a port, or the path of a Unix socket. */
function socketAddress(text: string): Address {
  try {
    const endpoint = parseEndpoint(text, 'client');
    if (endpoint.kind === 'unix') return { family: 'unix', path: endpoint.path };
    if (endpoint.kind === 'tcp' && endpoint.host !== undefined && isIP(endpoint.host) !== 0)
      return tcpAddress(endpoint.host, endpoint.port);
  } catch (error) {
    if (!isPortsideError(error)) throw error;
  }
  throw new InvalidArgumentError('It has to be a numeric address and a port, as in 192.0.2.1:50000, or unix:/x.sock.');
}
