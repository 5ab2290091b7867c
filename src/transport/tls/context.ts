import { constants, randomBytes } from 'node:crypto';
import type { SecureContext, SecureContextOptions } from 'node:tls';
import { ClosedError, isPortsideError } from '../../base/errors.ts';
import type { PortsideError } from '../../base/errors.ts';
import { checkValue } from '../../base/options.ts';
import type { Problem } from '../../base/options.ts';
import { systemClock } from '../../sync/clock.ts';
import type { Clock } from '../../sync/clock.ts';
import { rethrowSoon } from '../../sync/rethrow.ts';
import { systemError } from '../system-error.ts';
import { CertificateError } from './certificate-error.ts';
import { describeCertificate, loadPair, teller } from './certificate.ts';
import type { LoadedPair, TlsCertificate } from './certificate.ts';
import { FileWatch } from './file-watch.ts';
import { pathsOf, readAhead } from './pem.ts';
import type { PemReader, PemSource } from './pem.ts';
import { secureContext } from './secure-context.ts';
import { tlsServerRule } from './server-options.ts';
import type { TlsPair, TlsServerOptions } from './server-options.ts';
import { digestOf, loadAuthorities, sourcesOf } from './sources.ts';

export type { TlsCertificate } from './certificate.ts';
export { tlsServerRule } from './server-options.ts';
export type { TlsPair, TlsServerOptions } from './server-options.ts';

/** All that handshakes use, exchanged as a whole. */
export interface ServerMaterial {
  readonly options: TlsServerOptions;
  /** For who asks for no name, or for one that is not known. */
  readonly fallback: SecureContext;
  /** By name in lower case. */
  readonly exact: ReadonlyMap<string, SecureContext>;
  /** By what follows the star: `.example.org`. */
  readonly wildcards: ReadonlyMap<string, SecureContext>;
  readonly certificates: readonly TlsCertificate[];
  /** Of all that was read, to tell whether files have changed. */
  readonly digest: string;
}

/** What {@link TlsServerContext.create} takes beside the options. */
export interface TlsServerContextSettings {
  /** What tells the time that certificates are held against, and waits until files have settled. @default the machine's own */
  readonly clock?: Clock | undefined;
}

/** Files are taken up when they have been left alone for so many milliseconds, so that a certificate does not meet its successor's key. */
const SETTLE = 100;

let inForce: (context: TlsServerContext) => ServerMaterial;

/**
 * The certificates, keys and rules that a server's handshakes go by, checked before they are used. Many listeners may share one.
 */
export class TlsServerContext {
  /** Hears of each reload that a watched file caused: null, or what was wrong with it, in which case the old certificates go on. */
  onReload: ((error: PortsideError | null) => void) | null = null;
  readonly #clock: Clock;
  readonly #ticketKeys: Buffer;
  #material: ServerMaterial;
  #watch: FileWatch | null = null;
  #closed = false;
  /** Reloads go one after another. */
  #turn: Promise<unknown> = Promise.resolve();

  static {
    inForce = (context) => context.#material;
  }

  // Contexts come from `TlsServerContext.create`.
  private constructor(material: ServerMaterial, ticketKeys: Buffer, clock: Clock) {
    this.#material = material;
    this.#ticketKeys = ticketKeys;
    this.#clock = clock;
  }

  /**
   * Reads and checks everything: that each key fits its certificate, that no certificate is expired or not valid yet, that chains parse, and that each name of
   * `servers` is covered by its certificate.
   *
   * Rejects with a {@link CertificateError} (ERR_PORTSIDE_CERTIFICATE) that tells all problems at once, with ERR_PORTSIDE_OPTIONS, or with
   * the system's error when the files can't be watched.
   */
  static async create(options: TlsServerOptions, settings: TlsServerContextSettings = {}): Promise<TlsServerContext> {
    const checked = checkValue('tls', 'tls', tlsServerRule, options);
    const clock = settings.clock ?? systemClock;
    const ticketKeys = Buffer.from(checked.ticketKeys ?? randomBytes(48));
    const context = new TlsServerContext(
      load(checked, ticketKeys, clock, await readAhead(sourcesIn(checked))),
      ticketKeys,
      clock,
    );
    context.#startWatch();
    return context;
  }

  /** The certificates that are shown now: the default one, then one for each name. One that has expired meanwhile shows by its `notAfter`. */
  get certificates(): readonly TlsCertificate[] {
    return this.#material.certificates;
  }

  /** The options in force. */
  get options(): TlsServerOptions {
    return this.#material.options;
  }

  /** Milliseconds a handshake may take; whoever begins one holds it to that. */
  get handshakeTimeout(): number {
    return this.options.handshakeTimeout ?? 10_000;
  }

  /** How many handshakes may be under way at once; whoever begins them holds to it. */
  get maxHandshakes(): number {
    return this.options.maxHandshakes ?? 256;
  }

  /**
   * Reads the files again, or takes other options, and exchanges everything at once when all of it is right; else it rejects as
   * {@link TlsServerContext.create} does, and what was in force stays so. Handshakes that begin later go by the new; connections that are established are not touched.
   * Ticket keys stay as they are unless others are given.
   */
  reload(options?: TlsServerOptions): Promise<void> {
    return this.#next(async () => {
      await this.#reload(options, false);
    });
  }

  /** Stops watching. What was handed out stays usable. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#watch?.close();
    this.#watch = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** @returns Whether anything was exchanged. */
  async #reload(options: TlsServerOptions | undefined, onlyChanged: boolean): Promise<boolean> {
    if (this.#closed) throw new ClosedError('the TLS context is closed', { op: 'tls' });
    const next = options === undefined ? this.#material.options : checkValue('tls', 'tls', tlsServerRule, options);
    const keys = next.ticketKeys === undefined ? this.#ticketKeys : Buffer.from(next.ticketKeys);
    const material = load(next, keys, this.#clock, await readAhead(sourcesIn(next)));
    if (this.#closed || (onlyChanged && material.digest === this.#material.digest)) return false;
    this.#material = material;
    if (options !== undefined) this.#startWatch();
    return true;
  }

  #startWatch(): void {
    const { options } = this.#material;
    this.#watch?.close();
    this.#watch =
      options.watch === true
        ? new FileWatch(pathsOf(sourcesIn(options)), SETTLE, this.#clock, (error) => this.#stirred(error))
        : null;
  }

  /** Something happened to the files, or watching them failed. */
  #stirred(failed: PortsideError | null): void {
    if (failed !== null) {
      this.#tell(failed);
      return;
    }
    void this.#next(async () => {
      if (this.#closed) return;
      try {
        if (await this.#reload(undefined, true)) this.#tell(null);
      } catch (error) {
        this.#tell(isPortsideError(error) ? error : systemError('tls', error));
      }
    });
  }

  #tell(error: PortsideError | null): void {
    if (this.#closed) return;
    try {
      this.onReload?.(error);
    } catch (thrown) {
      rethrowSoon(thrown);
    }
  }
}

function sourcesIn(options: TlsServerOptions): PemSource[] {
  const pairs: TlsPair[] = [options, ...Object.values(options.servers ?? {})];
  return [...pairs.flatMap(({ cert, key }) => [cert, key]), ...sourcesOf(options.ca)];
}

/** Reads and checks all that options name. */
function load(options: TlsServerOptions, ticketKeys: Buffer, clock: Clock, read: PemReader): ServerMaterial {
  const problems: Problem[] = [];
  const tell = teller(problems);
  const now = clock.wall();
  const named = Object.entries(options.servers ?? {});
  const fallback = loadPair(options, { at: '', servername: null, now, read, tell });
  const others = named.map(([name, pair]) => loadPair(pair, { at: placeOf(name), servername: name, now, read, tell }));
  const ca = loadAuthorities(options.ca, read, tell);
  if (problems.length > 0 || fallback === null) throw new CertificateError(problems);
  const pairs = [fallback, ...others.filter((pair) => pair !== null)];
  const digest = digestOf([...ca, ...pairs.flatMap(({ cert, key }) => [cert, key])]);
  const shared = sharedOptions(options, ca, ticketKeys);
  const exact = new Map<string, SecureContext>();
  const wildcards = new Map<string, SecureContext>();
  const certificates = [describeCertificate(fallback.leaf, null)];
  const ground = secure(fallback, shared, '');
  for (const [index, [name]] of named.entries()) {
    const pair = others[index];
    if (pair == null) continue;
    const context = secure(pair, shared, placeOf(name));
    const key = name.toLowerCase();
    if (key.startsWith('*.')) wildcards.set(key.slice(1), context);
    else exact.set(key, context);
    certificates.push(describeCertificate(pair.leaf, name));
  }
  return { options, fallback: ground, exact, wildcards, certificates, digest };
}

function placeOf(name: string): string {
  return `servers[${JSON.stringify(name)}].`;
}

function sharedOptions(options: TlsServerOptions, ca: readonly string[], ticketKeys: Buffer): SecureContextOptions {
  const { clientCertificate = 'none', ciphers, minVersion = 'TLSv1.2', maxVersion = 'TLSv1.3' } = options;
  return {
    ...(ca.length === 0 ? {} : { ca: [...ca] }),
    ...(ciphers === undefined ? {} : { ciphers }),
    minVersion,
    maxVersion,
    ticketKeys,
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    // A session remembers that its client was verified. One that other authorities vouched for, or that none was asked about, must not count here.
    sessionIdContext: digestOf([clientCertificate, ...ca]).slice(0, 32),
  };
}

function secure(pair: LoadedPair, shared: SecureContextOptions, at: string): SecureContext {
  const { cert, key, passphrase } = pair;
  return secureContext({ ...shared, cert, key, ...(passphrase === undefined ? {} : { passphrase }) }, at);
}

/** What a handshake that begins now goes by. */
export function materialOf(context: TlsServerContext): ServerMaterial {
  return inForce(context);
}

/** The secure context for a name that a client asks for. */
export function pickContext(material: ServerMaterial, servername: string): SecureContext {
  const name = servername.toLowerCase().replace(/\.$/u, '');
  const exact = material.exact.get(name);
  if (exact !== undefined) return exact;
  const dot = name.indexOf('.');
  return (dot > 0 ? material.wildcards.get(name.slice(dot)) : undefined) ?? material.fallback;
}
