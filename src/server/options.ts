import {
  anything,
  boolean,
  fn,
  integer,
  list,
  milliseconds,
  object,
  record,
  string,
  table,
  that,
  union,
} from '../base/options.ts';
import type { Rule, Table } from '../base/options.ts';
import { addressListRule } from '../net/address-list.ts';
import type { Connection } from '../net/connection.ts';
import type { EndpointLike } from '../net/endpoint.ts';
import { listenFields } from '../net/listen.ts';
import type { ListenOptions } from '../net/listen.ts';
import type { FieldsFor } from '../net/option-rules.ts';
import { clientPrefixesRule } from './client-key.ts';
import { loggerRule } from './logger.ts';
import type { Logger } from './logger.ts';
import type { PermitStore } from './permits.ts';
import { rateRule } from './rate.ts';
import type { RateOptions } from './rate.ts';
import { refuseWithRule } from './refusal.ts';
import type { RefuseWith } from './refusal.ts';
import type { Server } from './server.ts';
import { whenFullRule } from './when-full.ts';
import type { WhenFull } from './when-full.ts';

/** One of a server's endpoints, with what it has of its own; the rest is the server's. */
export interface EndpointOptions extends Omit<ListenOptions, 'signal'> {
  /** Connections of this endpoint at a time, within those of the server. @default the server's */
  maxConnections?: number | undefined;
  /** Where this endpoint's own permits come from, instead of `maxConnections`. @default the server itself */
  permits?: PermitStore | undefined;
}

/** Who is let in, and how many. All of it can be changed while the server runs. */
export interface AdmissionOptions {
  /** Connections at a time, over all endpoints: never one more, those whose handshakes are under way counted. What becomes of the others: `whenFull`. @default 10000 */
  maxConnections?: number | undefined;
  /** Connections of one client at a time. @default Infinity */
  maxPerClient?: number | undefined;
  /** How much of an address makes a client, for `maxPerClient` and `rate`. Connections that are open stay counted as they were. @default { ipv4: 32, ipv6: 64 } */
  clientPrefix?: { readonly ipv4?: number | undefined; readonly ipv6?: number | undefined } | undefined;
  /** What becomes of clients that come while the server is full, and what waiting means on a transport without a kernel queue: {@link WhenFull}. @default 'wait' */
  whenFull?: WhenFull | undefined;
  /** Addresses and CIDRs that may come, and no others. @default everybody */
  allow?: readonly string[] | undefined;
  /** Addresses and CIDRs that may not come, whatever `allow` says. @default nobody */
  deny?: readonly string[] | undefined;
  /** How often one client may connect; null: as often as it likes. @default null */
  rate?: RateOptions | null | undefined;
  /** What clients see that are refused. @default 'reset' */
  refuseWith?: RefuseWith | undefined;
}

/** How a server comes to its end. */
export interface EndOptions {
  /** Milliseconds that it goes on accepting after it has said that it is not ready any more, for load balancers to notice. @default 0 */
  lead?: number | undefined;
  /** Milliseconds that connections have, from the end of accepting, until those that are left are ended. @default 10000 */
  grace?: number | undefined;
  /** Milliseconds over which idle connections are closed, so that their clients don't come back all at once. @default 0 */
  spread?: number | undefined;
}

/** What `start` and `stop` hand on to `onStart` and `onStop`. */
export type Given = Readonly<Record<string, unknown>>;

/** Options of `Server.drain`. */
export interface DrainOptions extends EndOptions {
  /** When it is aborted, those that are left are ended at once. */
  signal?: AbortSignal | undefined;
  /** Handed on to `onStop`. */
  given?: Given | undefined;
}

/** Options of {@link createServer}. Those of connections and listening are for all endpoints. */
export interface ServerOptions<Ctx = unknown> extends ListenOptions, AdmissionOptions, EndOptions {
  /** Several endpoints for one server, each as text, number or object, instead of one by `endpoint`, `port` and so on. */
  listen?: EndpointLike | EndpointOptions | readonly (EndpointLike | EndpointOptions)[] | undefined;
  /** Yours; handlers find it in their context, as typed as it is here. */
  context?: Ctx | undefined;
  /** Runs when all endpoints are bound and before the first client is accepted; what it throws stops the server, and `start` rejects with it. */
  onStart?: ((server: Server<Ctx>, given: Given | undefined) => void | Promise<void>) | undefined;
  /** Runs when everything is closed, on whatever path the server came to its end. */
  onStop?: ((server: Server<Ctx>, given: Given | undefined) => void | Promise<void>) | undefined;
  /**
   * Sees what a handler or a hook threw, with its connection (where there is one) still open. The connection is ended afterwards, abruptly, unless this has begun to close it
   * in order, or, in callback form, answers `'keep'` at once; what is no frame of the codec ends it whatever is answered. `current()` is nobody in here. Without it, errors are counted, emitted as `error` and published on `portside.handler.error`.
   */
  onError?: ((error: unknown, connection: Connection | undefined, server: Server<Ctx>) => unknown) | undefined;
  /** Runs before a connection is ended abruptly, which is with RST, unless this has closed it in order. */
  prepareHardClose?: ((connection: Connection) => void) | undefined;
  /** Where any connection asks for the server's end; on loopback unless a host is named. Port 0 is allowed, and reported by `shutdownAddress`. @default none */
  shutdown?: EndpointLike | undefined;
  /** Asked by each connection to `shutdown`; only `true` stops the server. @default () => true */
  shutdownHandler?: ((server: Server<Ctx>, connection: Connection) => unknown) | undefined;
  /** Writes one line for each step of a connection's life to `log`; a string is the prefix of the lines. @default false (prefix 'portside') */
  verbose?: boolean | string | undefined;
  /** Where the lines of `verbose` go. @default to `logger`, at `debug` */
  log?: ((line: string) => void) | undefined;
  /**
   * Where structured lines go, as a logger of pino's: one for each connection that is over, what is refused, what goes wrong (a handler's errors where there is no `onError`), and
   * what handlers write by `context.log`. @default none: `context.log` is silent
   */
  logger?: Logger | undefined;
  /** Whether each connection that is over gets a line in `logger`, at `info`. @default true */
  accessLog?: boolean | undefined;
  /** Whether `current()` and `print()` work in handlers that are functions, which costs each of their connections an async context. @default true */
  ambient?: boolean | undefined;
  /** Where permits come from. Its limits are its own: `maxConnections` and `maxPerClient` are handed to its `resize` only when they are changed by `Server.set`. @default the server itself */
  permits?: PermitStore | undefined;
}

/** What can be changed while a server runs. */
export interface ServerChanges extends AdmissionOptions, EndOptions {
  /** Connections that are open take the new ones at once. */
  deadlines?: ServerOptions['deadlines'];
}

const grace = milliseconds({ infinite: true });
const window = milliseconds({ max: 86_400_000 });
const most = integer({ min: 1 });

const admissionFields: FieldsFor<AdmissionOptions> = {
  maxConnections: most,
  maxPerClient: integer({ min: 1, infinite: true }),
  clientPrefix: clientPrefixesRule,
  whenFull: whenFullRule,
  allow: addressListRule,
  deny: addressListRule,
  rate: union(
    rateRule,
    that<null>('null', (value) => value === null),
  ),
  refuseWith: refuseWithRule,
};

const endFields: FieldsFor<EndOptions> = { lead: window, grace, spread: window };

const { signal: _, ...placeFields } = listenFields;
const permitsRule = that<PermitStore>(
  'a store of permits',
  (value) => typeof (value as Partial<PermitStore>)?.take === 'function',
);
const endpointRule: Rule<EndpointOptions> = object({ ...placeFields, maxConnections: most, permits: permitsRule });

const place = union(
  that<EndpointLike>('an endpoint', (value) => {
    if (typeof value === 'string' || typeof value === 'number') return true;
    return typeof value === 'object' && value !== null && ('kind' in value || 'family' in value);
  }),
  endpointRule,
);

type Fields = FieldsFor<Omit<ServerOptions<never>, 'listen'>> & { readonly listen: Rule<ServerOptions['listen']> };

/** The rules of {@link ServerOptions}, one by one. */
export const serverFields: Fields = {
  ...listenFields,
  ...admissionFields,
  ...endFields,
  listen: union(list(place, { min: 1, max: 1_000 }), place),
  context: anything<never>(),
  onStart: fn(),
  onStop: fn(),
  onError: fn(),
  prepareHardClose: fn(),
  shutdown: listenFields.endpoint,
  shutdownHandler: fn(),
  verbose: union(boolean(), string()),
  log: fn(),
  logger: loggerRule,
  accessLog: boolean(),
  ambient: boolean(),
  permits: permitsRule,
};

/** What options of servers have to say together. */
export function whereOrNowhere(
  options: Pick<ServerOptions, 'verbose' | 'log' | 'logger' | 'listen' | 'endpoint' | 'port' | 'path' | 'fd'>,
  problem: (option: 'verbose' | 'listen', message: string) => void,
): void {
  const { verbose, log, logger, listen, endpoint, port, path, fd } = options;
  if (verbose !== undefined && verbose !== false && log === undefined && logger === undefined)
    problem('verbose', 'needs log, which gets the lines');
  const own = [endpoint, port, path, fd].some((way) => way !== undefined);
  if (listen !== undefined && own) problem('listen', 'stands instead of endpoint, port, path and fd; give one of them');
  if (listen === undefined && !own)
    problem('listen', 'is missing: say where to listen, by listen, port, path or endpoint');
}

/** The rules of {@link ServerOptions}. */
export const serverTable: Table<ServerOptions<never>> = table('createServer', serverFields, (options, problem) => {
  whereOrNowhere(options, problem);
}) as Table<ServerOptions<never>>;

/** The rules of {@link ServerChanges}. */
export const changesTable: Table<ServerChanges> = table('set', {
  ...admissionFields,
  ...endFields,
  deadlines: listenFields.deadlines,
});

/** The rules of what a drain is given. */
export const endTable: Table<EndOptions & { signal?: AbortSignal | undefined; given?: Given | undefined }> = table(
  'drain',
  {
    ...endFields,
    signal: listenFields.signal,
    given: record(anything()),
  },
);

/** What each endpoint of a server listens with: its own options over the server's. */
export function placesOf(options: ServerOptions): readonly EndpointOptions[] {
  const common: Record<string, unknown> = {};
  for (const key of Object.keys(placeFields)) {
    const value = (options as Record<string, unknown>)[key];
    if (value !== undefined) common[key] = value;
  }
  const { listen } = options;
  if (listen === undefined) return [common];
  const several = (Array.isArray(listen) ? listen : [listen]) as readonly (EndpointLike | EndpointOptions)[];
  return several.map((one): EndpointOptions => {
    if (isEndpoint(one)) return { ...common, endpoint: one };
    const own: EndpointOptions = one;
    return { ...common, ...own };
  });
}

function isEndpoint(value: unknown): value is EndpointLike {
  return typeof value !== 'object' || value === null || 'kind' in value || 'family' in value;
}
