import { parseArgs } from 'node:util';
import { isPortsideError } from '../../base/errors.ts';
import { parseEndpoint } from '../../net/endpoint.ts';
import type { EndpointLike } from '../../net/endpoint.ts';
import { parseDuration } from '../durations.ts';
import type { SocketRequest } from './protocol.ts';
import { adminRequest, shutdownRequest, socketRequest } from './socket-request.ts';

/** Milliseconds in which a new version has to be ready. */
const TIMEOUT = 60_000;

/** What the supervisor takes from a command line; the program below it reads all of it, and says what is wrong. */
export interface Guess {
  readonly timeout: number;
  /** Whether nothing but JSON lines is to be on standard error; a config file may say so as well. */
  readonly json: boolean;
  /**
   * The sockets, in the order in which they are asked for. A config file may have more of them, or a host for the port: a program asks for what it lacks, and is started
   * again with it.
   */
  readonly sockets: readonly SocketRequest[];
}

/** Reads the flags that matter to a supervisor, and passes over all others. `env`: where one of them may be as well. */
export function guessFrom(args: readonly string[], env: NodeJS.ProcessEnv = {}): Guess {
  const { values } = parseArgs({
    args: [...args],
    strict: false,
    options: {
      port: { type: 'string', short: 'p' },
      host: { type: 'string' },
      endpoint: { type: 'string', short: 'e', multiple: true },
      mode: { type: 'string' },
      shutdown: { type: 'string' },
      admin: { type: 'string' },
      'upgrade-timeout': { type: 'string' },
      'log-format': { type: 'string' },
    },
  });
  // Without a value it is true, which the program complains of.
  const text = (name: string): string | undefined => {
    const value = values[name];
    return typeof value === 'string' ? value : undefined;
  };
  const time = parseDuration(text('upgrade-timeout') ?? '', { min: 1 });
  return {
    timeout: time.ok ? time.ms : TIMEOUT,
    json: (text('log-format') ?? env['PORTSIDE_LOG_FORMAT']) === 'json',
    sockets: socketsOf(text, values['endpoint']),
  };
}

function socketsOf(text: (name: string) => string | undefined, endpoints: unknown): readonly SocketRequest[] {
  const [port, shutdown, admin, octal] = [text('port'), text('shutdown'), text('admin'), text('mode')];
  const several = Array.isArray(endpoints) ? endpoints.filter((one) => typeof one === 'string') : [];
  const places: EndpointLike[] = [
    ...(port === undefined ? [] : [{ port, host: text('host') ?? '127.0.0.1' }]),
    ...several,
  ];
  const mode = octal === undefined ? undefined : Number.parseInt(octal, 8);
  try {
    return [
      ...places.map((place) => socketRequest('serve', { endpoint: parseEndpoint(place, 'server'), mode })),
      ...(shutdown === undefined ? [] : [shutdownRequest(parseEndpoint(shutdown, 'server'))]),
      ...(admin === undefined ? [] : [adminRequest(admin)]),
    ];
  } catch (error) {
    // The program says what is wrong with it.
    if (isPortsideError(error)) return [];
    throw error;
  }
}
