import type { Command } from 'commander';
import { OptionsError, check, table } from '../../base/options.ts';
import type { Problem } from '../../base/options.ts';
import { isPortsideError } from '../../base/errors.ts';
import { connectFields } from '../../net/connect.ts';
import type { ConnectOptions } from '../../net/connect.ts';
import { formatEndpoint, parseEndpoint } from '../../net/endpoint.ts';
import type { Endpoint } from '../../net/endpoint.ts';
import type { ProxyOutOptions } from '../../net/proxy-out.ts';
import type { Address } from '../../transport/address.ts';
import { CertificateError } from '../../transport/tls/certificate-error.ts';
import type { TlsClientOptions } from '../../transport/tls/client.ts';
import { clientContext } from '../../transport/tls/client-context.ts';
import { givenFlags, layerOf } from '../flag.ts';
import type { GivenFlags } from '../flag.ts';
import { wrongUsage } from '../gather-options.ts';
import { tellProblems } from '../option-names.ts';
import { connectFlags } from './flags.ts';

/** How bytes are shown. */
export type Showing = 'raw' | 'lines' | 'hex';

/** What a command line of `portside connect` comes to. */
export interface Plan {
  readonly endpoint: Endpoint;
  readonly options: ConnectOptions;
  readonly showing: Showing;
  readonly crlf: boolean;
  /** Whether the server is told that the input has ended. */
  readonly halfClose: boolean;
  /** Milliseconds that the server has for its end when the input has ended; `Infinity`: as many as it likes. */
  readonly wait: number;
  /** How much is told beside errors: nothing, all, or what a terminal is for. */
  readonly telling: 'quiet' | 'verbose' | 'on-a-terminal';
}

interface OwnFlags {
  readonly tls?: true;
  readonly insecure?: true;
}

/** What the flags give, where they give it. */
interface Layer {
  readonly tls?: TlsClientOptions;
  readonly proxy?: {
    readonly version?: 'v1' | 'v2' | 'local';
    readonly source?: Address;
    readonly destination?: Address;
  };
  readonly crlf?: true;
  readonly lines?: true;
  readonly hex?: true;
  readonly halfClose?: boolean;
  readonly timeout?: number;
  readonly idle?: number;
  readonly wait?: number;
  readonly quiet?: true;
  readonly verbose?: true;
}

/** A server that doesn't answer is not waited for as long as the kernel would. */
const TIMEOUT = 30_000;

/** A handshake always has a limit: a day, where nothing else is to have one. */
const LONGEST_HANDSHAKE = 86_400_000;

const connectTable = table('connect', connectFields);

/** Understands a command line; what is wrong with it, files that can't be used among it, ends by `command.error`. */
export async function planOf(command: Command, text: string): Promise<Plan> {
  const endpoint = endpointOf(command, text);
  const given = givenFlags(command, connectFlags);
  const layer: Layer = layerOf(given);
  const { timeout = TIMEOUT, idle = Infinity, wait = Infinity, halfClose = true } = layer;
  // One time for all of it.
  const handshakeTimeout = Math.min(timeout, LONGEST_HANDSHAKE);
  const asked = tlsOf(command, endpoint, given, layer.tls);
  const tls = asked === undefined ? undefined : { ...asked, handshakeTimeout };
  const proxy = proxyOf(command, layer.proxy);
  const options: ConnectOptions = {
    ...(timeout === Infinity ? {} : { timeout }),
    // A server that is slow to take its input is what somebody may want to try.
    deadlines: { idle, write: Infinity },
    ...(tls === undefined ? {} : { tls }),
    ...(proxy === undefined ? {} : { proxy }),
  };
  try {
    check(connectTable, options);
    if (tls !== undefined) await clientContext(tls);
  } catch (error) {
    if (error instanceof OptionsError || error instanceof CertificateError) misused(command, error, given);
    throw error;
  }
  return {
    endpoint,
    options,
    showing: layer.hex === true ? 'hex' : layer.lines === true ? 'lines' : 'raw',
    crlf: layer.crlf === true,
    halfClose,
    wait,
    telling: layer.quiet === true ? 'quiet' : layer.verbose === true ? 'verbose' : 'on-a-terminal',
  };
}

function endpointOf(command: Command, text: string): Endpoint {
  let endpoint: Endpoint;
  try {
    endpoint = parseEndpoint(text, 'client');
  } catch (error) {
    if (isPortsideError(error)) wrongUsage(command, error.message);
    throw error;
  }
  if (endpoint.kind === 'fd')
    wrongUsage(command, `can't connect to ${formatEndpoint(endpoint)}: it names a socket to listen on`);
  if (endpoint.kind === 'memory')
    wrongUsage(command, `can't connect to ${formatEndpoint(endpoint)}: memory is within one program`);
  return endpoint;
}

/** What TLS is begun with; undefined for a connection in the clear. */
function tlsOf(
  command: Command,
  endpoint: Endpoint,
  given: GivenFlags,
  tls: TlsClientOptions = {},
): TlsClientOptions | undefined {
  const { tls: asked = false, insecure = false } = command.opts<OwnFlags>();
  if (!asked && endpoint.kind !== 'tls') {
    const idle = [...given].filter(([option]) => option.startsWith('tls.')).map(([, { flag }]) => flag);
    if (insecure) idle.push('--insecure');
    if (idle.length === 0) return undefined;
    const need = idle.length === 1 ? 'needs' : 'need';
    wrongUsage(command, `${idle.join(', ')} ${need} TLS: give --tls, or an endpoint that begins with tls://`);
  }
  if (endpoint.kind === 'unix' && tls.servername === undefined && !insecure)
    wrongUsage(
      command,
      'TLS on a Unix socket needs --servername, as there is no host to hold the certificate against; or --insecure',
    );
  return insecure ? { ...tls, rejectUnauthorized: false } : tls;
}

function proxyOf(command: Command, proxy: Layer['proxy']): ProxyOutOptions | undefined {
  if (proxy === undefined) return undefined;
  const { version, source, destination } = proxy;
  const named = source !== undefined ? '--proxy-source' : destination !== undefined ? '--proxy-destination' : null;
  if (version === undefined) wrongUsage(command, `${named ?? ''} needs --proxy: v1 or v2`);
  if (version === 'local') {
    if (named !== null) wrongUsage(command, `${named} can't go with --proxy local, which tells no client`);
    return 'local';
  }
  return { version: version === 'v1' ? 1 : 2, source, destination };
}

/** Problems of options and files, by the names of their flags. */
function misused(command: Command, error: OptionsError | CertificateError, given: GivenFlags): never {
  const problems = error instanceof CertificateError ? error.problems.map(ofFile) : error.problems;
  return wrongUsage(command, tellProblems(problems, { groups: connectFlags, given, merged: {}, config: null }).text);
}

/** `ca (/etc/x.pem)` is the option `tls.ca`, and the file belongs to what is wrong. */
function ofFile({ path, message }: Problem): Problem {
  const [option = path] = path.split(' ');
  return { path: `tls.${option}`, message: `${path.slice(option.length + 1)} ${message}`.trim() };
}
