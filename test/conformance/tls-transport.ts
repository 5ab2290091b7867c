import type {
  Acceptor,
  AcceptorWatcher,
  BindOptions,
  BindTarget,
  Channel,
  Dial,
  DialTarget,
  Released,
  Transport,
} from '../../src/transport/contract.ts';
import { rethrowSoon } from '../../src/sync/rethrow.ts';
import type { TlsClientOptions } from '../../src/transport/tls/client.ts';
import type { TlsServerContext } from '../../src/transport/tls/context.ts';
import { secureClient, secureServer } from '../../src/transport/tls/handshake.ts';
import type { TlsHandshake } from '../../src/transport/tls/handshake.ts';

/**
 * What waits to be taken has its handshake done, as a client's dial is not done before. So everything is accepted at once, and what nobody took is held
 * here up to `backlog`; the next are reset.
 */
class TlsAcceptor implements Acceptor {
  readonly kernelQueue = false;
  watcher: AcceptorWatcher | null = null;
  readonly #inner: Acceptor;
  readonly #context: TlsServerContext;
  readonly #backlog: number;
  readonly #handshakes = new Set<TlsHandshake>();
  readonly #waiting: Channel[] = [];
  #wanted = false;
  #closed = false;
  #refed = true;
  #turn: NodeJS.Immediate | null = null;

  constructor(inner: Acceptor, context: TlsServerContext, backlog: number) {
    this.#inner = inner;
    this.#context = context;
    this.#backlog = backlog;
    inner.watcher = { ready: () => this.#accept(), trouble: (error) => this.watcher?.trouble(error) };
    inner.want(true);
  }

  get address(): Acceptor['address'] {
    return this.#inner.address;
  }

  take(): Channel | null {
    return this.#waiting.shift() ?? null;
  }

  pending(): boolean {
    return this.#waiting.length > 0;
  }

  want(on: boolean): void {
    if (this.#closed) return;
    this.#wanted = on;
    if (on) this.#again();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wanted = false;
    this.#inner.close();
    for (const handshake of this.#handshakes) handshake.cancel('drop');
    for (const channel of this.#waiting.splice(0)) channel.destroy('reset');
  }

  ref(on: boolean): void {
    this.#refed = on;
    this.#inner.ref(on);
  }

  #accept(): void {
    for (let channel = this.#inner.take(); channel !== null; channel = this.#inner.take()) {
      if (this.#waiting.length + this.#handshakes.size >= this.#backlog) {
        channel.destroy('reset');
        continue;
      }
      channel.set({ kind: 'noDelay', on: true });
      const handshake = secureServer(channel, this.#context, []);
      this.#handshakes.add(handshake);
      void handshake.result.then(
        (secure) => {
          this.#handshakes.delete(handshake);
          if (this.#closed) {
            secure.destroy('reset');
            return;
          }
          this.#waiting.push(secure);
          this.#again();
        },
        // A client that is gone is an error of this one connection.
        () => this.#handshakes.delete(handshake),
      );
    }
  }

  #again(): void {
    if (this.#turn !== null || !this.#wanted || this.#waiting.length === 0) return;
    this.#turn = setImmediate(() => {
      this.#turn = null;
      if (!this.#wanted || this.#waiting.length === 0) return;
      try {
        this.watcher?.ready();
      } catch (error) {
        rethrowSoon(error);
      }
      this.#again();
    });
    if (!this.#refed) this.#turn.unref();
  }
}

class TlsDial implements Dial {
  readonly result: Promise<Channel>;
  readonly #inner: Dial;
  #handshake: TlsHandshake | null = null;
  #cancelled = false;

  constructor(inner: Dial, options: TlsClientOptions) {
    this.#inner = inner;
    this.result = inner.result.then((channel) => {
      // A handshake leaves Nagle's algorithm waiting for a delayed acknowledgement: what is sent next would not be on its way at once, as the suite takes it to be.
      channel.set({ kind: 'noDelay', on: true });
      this.#handshake = secureClient(channel, options, 'localhost', []);
      if (this.#cancelled) this.#handshake.cancel('drop');
      return this.#handshake.result;
    });
  }

  cancel(): void {
    this.#cancelled = true;
    this.#inner.cancel();
    this.#handshake?.cancel('drop');
  }
}

/** TLS over another transport, as a transport for the suite: connections come out of it with their handshake done. */
export function tlsTransport(inner: Transport, server: TlsServerContext, client: TlsClientOptions): Transport {
  return {
    name: `tls over ${inner.name}`,
    // Bytes that OpenSSL read can't go along with a descriptor, and nothing is lent that it decrypted.
    flags: { ...inner.flags, kernelQueue: false, descriptors: false, borrows: false },
    async listen(target: BindTarget, options: BindOptions): Promise<Acceptor> {
      return new TlsAcceptor(
        await inner.listen(target, { ...options, backlog: Math.max(options.backlog, 511) }),
        server,
        options.backlog,
      );
    },
    dial: (target: DialTarget): Dial => new TlsDial(inner.dial(target), client),
    adopt: (released: Released): Channel => inner.adopt(released),
  };
}
