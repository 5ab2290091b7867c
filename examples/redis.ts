// A small Redis: strings that may expire, counters, and channels, for any client that speaks RESP2.
//   npx portside serve examples/redis.ts --port 6379
//   redis-cli set greeting hello EX 60
//   redis-cli subscribe news
//   redis-cli publish news 'it works'
//   redis-benchmark -t ping,set,get,incr -P 16 -q
import { Group, defineHandler } from 'portside';
import type { Connection, FramedProtocol } from 'portside';
import { resp } from './resp.ts';
import type { Reply, Request } from './resp.ts';

/** Bytes of keys and values that are kept; beyond it nothing is stored until something was deleted or has expired. */
const MAX_MEMORY = 256 * 1_048_576;
/** What a key costs beside its own bytes and its value's, about. */
const OVERHEAD = 128;
/** Channels that one client may subscribe to. */
const MAX_CHANNELS = 1_000;
/** Keys that may have expired and are looked at by each command that stores one: more than it adds. */
const SWEEP = 4;

interface Session {
  readonly id: number;
  readonly channels: Set<string>;
}

type Client = Connection<Session>;

interface Entry {
  readonly value: Uint8Array;
  /** By `performance.now()`; Infinity for ever. */
  readonly expires: number;
}

/** An answer that is an error, thrown. */
class Refusal extends Error {}

/** Keys and their values. What has expired is gone when it is asked for, and is found by and by when it is not; nothing has a timer. */
class Keys {
  readonly #entries = new Map<string, Entry>();
  /** The keys that expire, in the order in which they are looked at. */
  readonly #expiring = new Set<string>();
  #used = 0;

  get(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.expires > performance.now()) return entry;
    this.delete(key);
    return undefined;
  }

  set(key: string, value: Uint8Array, expires: number): void {
    this.#sweep();
    const before = this.#entries.get(key);
    const used = this.#used + cost(key, value) - (before === undefined ? 0 : cost(key, before.value));
    if (used > MAX_MEMORY) throw new Refusal("OOM command not allowed when used memory > 'maxmemory'.");
    this.#used = used;
    this.#entries.set(key, { value, expires });
    if (expires === Infinity) this.#expiring.delete(key);
    else this.#expiring.add(key);
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#used -= cost(key, entry.value);
    this.#entries.delete(key);
    this.#expiring.delete(key);
  }

  /** Looks at some keys that expire: those that have not expired yet go to the end of the line. */
  #sweep(): void {
    let looked = 0;
    for (const key of this.#expiring) {
      if ((looked += 1) > SWEEP) return;
      this.#expiring.delete(key);
      if (this.get(key) !== undefined) this.#expiring.add(key);
    }
  }
}

function cost(key: string, value: Uint8Array): number {
  return key.length + value.length + OVERHEAD;
}

const keys = new Keys();
const channels = new Map<string, Group<Session>>();
let clients = 0;

// One character for each byte, so that any bytes make a key, and different ones a different key.
const text = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
const bytesOf = (key: string): Uint8Array => Buffer.from(key, 'latin1');
const OK: Reply = { simple: 'OK' };

function refuse(message: string): never {
  throw new Refusal(`ERR ${message}`);
}

function integer(bytes: Uint8Array): bigint {
  const word = text(bytes);
  const value = /^(?:0|-?[1-9]\d{0,18})$/u.test(word) ? BigInt(word) : null;
  if (value === null || BigInt.asIntN(64, value) !== value) refuse('value is not an integer or out of range');
  return value;
}

/** The time, on the scale of `performance.now()`, that is so many units of `ms` milliseconds from now. */
function from(now: Uint8Array, ms: number): number {
  const expires = performance.now() + Number(integer(now)) * ms;
  return Number.isSafeInteger(Math.round(expires)) ? expires : refuse('invalid expire time');
}

function set([key, value, ...options]: Request): Reply {
  let expires = Infinity;
  let only: string | undefined;
  for (let i = 0; i < options.length; i += 1) {
    const option = text(options[i]!).toUpperCase();
    const next = options[i + 1];
    if ((option === 'EX' || option === 'PX') && next !== undefined && expires === Infinity) {
      if (integer(next) <= 0n) refuse("invalid expire time in 'set' command");
      expires = from(next, option === 'EX' ? 1_000 : 1);
      i += 1;
    } else if ((option === 'NX' || option === 'XX') && only === undefined) only = option;
    else refuse('syntax error');
  }
  const name = text(key!);
  if (only !== undefined && (keys.get(name) !== undefined) !== (only === 'XX')) return null;
  // A copy, as the request is a view of all that came with it, which would be kept with it.
  keys.set(name, Uint8Array.from(value!), expires);
  return OK;
}

function increment([key]: Request): Reply {
  const name = text(key!);
  const entry = keys.get(name);
  const value = (entry === undefined ? 0n : integer(entry.value)) + 1n;
  if (BigInt.asIntN(64, value) !== value) refuse('increment or decrement would overflow');
  keys.set(name, bytesOf(String(value)), entry?.expires ?? Infinity);
  return value;
}

function expire([key, seconds]: Request): Reply {
  const expires = from(seconds!, 1_000);
  const name = text(key!);
  const entry = keys.get(name);
  if (entry === undefined) return 0;
  if (expires <= performance.now()) keys.delete(name);
  else keys.set(name, entry.value, expires);
  return 1;
}

function remaining([key]: Request): Reply {
  const entry = keys.get(text(key!));
  if (entry === undefined) return -2;
  return entry.expires === Infinity ? -1 : Math.round((entry.expires - performance.now()) / 1_000);
}

function remove(names: Request): Reply {
  const present = names.map(text).filter((name) => {
    const found = keys.get(name) !== undefined;
    keys.delete(name);
    return found;
  });
  return present.length;
}

/** Answers once for each channel, as its protocol wants it. */
function subscribe(names: Request, client: Client): Reply | undefined {
  const mine = client.data.channels;
  for (const name of names.map(text)) {
    if (!mine.has(name) && mine.size >= MAX_CHANNELS) refuse(`more than ${MAX_CHANNELS} channels`);
    let group = channels.get(name);
    // Whoever does not take what is published has to go, as in Redis; publishers don't wait.
    if (group === undefined) channels.set(name, (group = new Group<Session>({ slow: 'close', limit: 8 * 1_048_576 })));
    group.add(client);
    mine.add(name);
    void client.write(resp.encode(['subscribe', bytesOf(name), mine.size]));
  }
  return undefined;
}

function unsubscribe(names: Request, client: Client): Reply | undefined {
  const mine = client.data.channels;
  const leaving = names.length > 0 ? names.map(text) : [...mine];
  if (leaving.length === 0) return ['unsubscribe', null, 0];
  for (const name of leaving) {
    leave(client, name);
    void client.write(resp.encode(['unsubscribe', bytesOf(name), mine.size]));
  }
  return undefined;
}

function leave(client: Client, name: string): void {
  client.data.channels.delete(name);
  const group = channels.get(name);
  group?.delete(client);
  if (group?.size === 0) channels.delete(name);
}

function publish([channel, message]: Request): Reply {
  return channels.get(text(channel!))?.send(resp.encode(['message', channel!, message!])) ?? 0;
}

function hello([version]: Request, client: Client): Reply {
  if (version !== undefined && text(version) !== '2') throw new Refusal('NOPROTO unsupported protocol version');
  return ['server', 'redis', 'version', '7.0.0', 'proto', 2, 'id', client.data.id, 'mode', 'standalone'];
}

/** What clients tell and ask about themselves when they connect. */
function about([word]: Request, client: Client): Reply {
  const name = text(word!).toUpperCase();
  if (name === 'ID') return client.data.id;
  if (name === 'SETNAME' || name === 'SETINFO') return OK;
  return name === 'GETNAME' ? null : refuse(`unknown subcommand of 'client'`);
}

interface Command {
  /** How many arguments it takes. */
  readonly least: number;
  readonly most: number;
  /** Whether a client may give it that is subscribed to a channel. */
  readonly always?: boolean;
  /** Answers, or gives undefined when it has answered by itself. */
  run(words: Request, client: Client): Reply | undefined;
}

const commands: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['GET', { least: 1, most: 1, run: ([key]) => keys.get(text(key!))?.value ?? null }],
  ['SET', { least: 2, most: 6, run: set }],
  ['DEL', { least: 1, most: Infinity, run: remove }],
  ['INCR', { least: 1, most: 1, run: increment }],
  ['EXPIRE', { least: 2, most: 2, run: expire }],
  ['TTL', { least: 1, most: 1, run: remaining }],
  ['PING', { least: 0, most: 1, always: true, run: ping }],
  ['ECHO', { least: 1, most: 1, run: ([word]) => word }],
  ['SUBSCRIBE', { least: 1, most: Infinity, always: true, run: subscribe }],
  ['UNSUBSCRIBE', { least: 0, most: Infinity, always: true, run: unsubscribe }],
  ['PUBLISH', { least: 2, most: 2, run: publish }],
  ['QUIT', { least: 0, most: Infinity, always: true, run: quit }],
  ['HELLO', { least: 0, most: Infinity, run: hello }],
  ['CLIENT', { least: 1, most: Infinity, run: about }],
  ['COMMAND', { least: 0, most: Infinity, run: () => [] }],
  ['CONFIG', { least: 2, most: Infinity, run: ([, name]) => [name!, ''] }],
]);

function ping([word]: Request, client: Client): Reply {
  if (client.data.channels.size > 0) return ['pong', word ?? ''];
  return word ?? { simple: 'PONG' };
}

function quit(_words: Request, client: Client): undefined {
  void client.write(resp.encode(OK));
  void client.close();
}

function answer([first, ...words]: Request, client: Client): Reply | undefined {
  const name = text(first!).toUpperCase();
  // A browser that was led here by a web page: its body must not be taken for commands.
  if (name === 'POST' || name === 'HOST:') {
    client.abort(new Error('it speaks HTTP'));
    return undefined;
  }
  const command = commands.get(name);
  const shown = JSON.stringify(name.slice(0, 64).toLowerCase());
  if (command === undefined) return { error: `ERR unknown command ${shown}` };
  if (words.length < command.least || words.length > command.most)
    return { error: `ERR wrong number of arguments for ${shown} command` };
  if (client.data.channels.size > 0 && command.always !== true)
    return { error: `ERR Can't execute ${shown}: only SUBSCRIBE, UNSUBSCRIBE, PING and QUIT in this context` };
  try {
    return command.run(words, client);
  } catch (error) {
    if (error instanceof Refusal) return { error: error.message };
    throw error;
  }
}

const redis: FramedProtocol<Request, Session> = defineHandler(resp, {
  open(client) {
    client.data = { id: (clients += 1), channels: new Set() };
  },
  frame(client, request) {
    const reply = answer(request, client);
    if (reply !== undefined) void client.write(resp.encode(reply));
  },
  draining(client) {
    void client.close();
  },
  close(client) {
    for (const name of client.data.channels) leave(client, name);
  },
});

export default redis;
