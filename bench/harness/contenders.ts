/** Who is measured. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

export interface Contender {
  readonly name: string;
  /** What it is, in a few words. */
  readonly about: string;
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  /** Whether it runs JavaScript, and answers the line `mem` after a collection. */
  readonly tellsMemory: boolean;
  /** Whether it is one of Portside. */
  readonly ours: boolean;
  /** Why it can't run here. */
  readonly missing?: string | undefined;
}

/** A column of ratios. */
export interface Comparison {
  readonly head: string;
  /** To whom a contender is put in relation; undefined: to nobody. */
  readonly to: (name: string) => string | undefined;
}

/** What a suite needs of its contenders. */
export type Role = 'echo' | 'accept' | 'dispatch' | 'broadcast' | 'idle' | 'redis';

/** Those that the others are put in relation to. */
export const LIMIT = 'c';
export const BASELINE = 'net-callbacks';
export const CLUSTER = 'cluster';
export const BUN = 'bun';
export const DENO = 'deno';
export const REDIS = 'redis-server';

const columns = (...names: string[]): readonly Comparison[] => names.map((name) => ({ head: name, to: () => name }));

/** The same transport in the same way, with nothing above it. */
const RAW_FORMS: Readonly<Record<string, string>> = {
  'native-round-robin': 'raw-native-passage',
  'native-least-busy': 'raw-native-passage',
  'native-hash': 'raw-native-passage',
  'native-kernel': 'raw-native-reuseport',
  'node-round-robin': 'raw-transfer',
  'node-least-busy': 'raw-transfer',
  'node-hash': 'raw-transfer',
  'node-kernel': 'raw-reuseport',
};

/** The columns of ratios, by role. */
export const comparisons: Readonly<Record<Role, readonly Comparison[]>> = {
  echo: columns(LIMIT, BASELINE, BUN),
  accept: columns(LIMIT, BASELINE, BUN),
  broadcast: columns(LIMIT, BASELINE, BUN),
  idle: columns(BASELINE, BUN),
  redis: columns(REDIS),
  dispatch: [...columns(LIMIT), { head: 'raw form', to: (name) => RAW_FORMS[name] }, ...columns(CLUSTER)],
};

/** Threads or processes that serve, in those that have several. */
const WORKERS = 2;
/** What each connection of Deno reads into, bytes, where little is read. */
const SMALL_BUFFER = 1_024;

type Env = Readonly<Record<string, string>>;

function script(file: string): string {
  return fileURLToPath(new URL(`../servers/${file}`, import.meta.url));
}

function onNode(name: string, file: string, about: string, env: Env = {}): Contender {
  const command: Contender['command'] = [process.execPath, '--expose-gc', script(file)];
  return {
    name,
    about,
    command,
    env,
    tellsMemory: true,
    ours: file.startsWith('portside-') || file === 'raw-native.ts',
  };
}

function several(name: string, file: string, about: string, env: Env = {}): Contender {
  return onNode(name, file, about, { ...env, WORKERS: String(WORKERS) });
}

function ours(layer: string, file: string, about: string, env: Env = {}): readonly Contender[] {
  return ['node', 'native'].map((backend) =>
    onNode(`${layer}-${backend}`, file, `${about}, ${backend} backend`, { TRANSPORT: backend, ...env }),
  );
}

/** A runtime that is an optional dependency of the bench. */
function runtime(name: string, path: string, flags: readonly string[], about: string, env: Env): Contender {
  const file = runtimePath(path);
  return {
    name,
    about,
    command: [file, ...flags, script(`${name}.ts`)],
    env,
    tellsMemory: true,
    ours: false,
    missing: existsSync(file)
      ? undefined
      : 'not installed, which `npm ci --prefix bench` does on Linux for x64 with glibc',
  };
}

function runtimePath(path: string): string {
  return fileURLToPath(new URL(`../node_modules/${path}`, import.meta.url));
}

/** The versions of the runtimes that are installed, by name. */
export function runtimeVersions(): Record<string, string> {
  const require = createRequire(import.meta.url);
  const versions: Record<string, string> = {};
  for (const [name, path] of [
    [BUN, '@oven/bun-linux-x64'],
    [DENO, '@deno/linux-x64-glibc'],
  ] as const) {
    const file = runtimePath(`${path}/package.json`);
    if (existsSync(file)) versions[name] = (require(file) as { version: string }).version;
  }
  return versions;
}

/** Bun and Deno in their own form. */
function others(role: Role, env: Env = {}): readonly Contender[] {
  const buffer: Env = role === 'echo' ? {} : { BUFFER: String(SMALL_BUFFER) };
  const flags = ['run', '-A', '--no-config', '--no-lock', '--v8-flags=--expose-gc'];
  return [
    runtime(BUN, '@oven/bun-linux-x64/bin/bun', [], '`Bun.listen` with callbacks', env),
    runtime(DENO, '@deno/linux-x64-glibc/deno', flags, '`Deno.listen`, read and write', { ...env, ...buffer }),
  ];
}

function limit(echoProgram: string, env: Env = {}): Contender {
  return {
    name: LIMIT,
    about: 'epoll loop in C, the limit',
    command: [echoProgram],
    env,
    tellsMemory: false,
    ours: false,
  };
}

function crowd(): readonly Contender[] {
  return [
    several(CLUSTER, 'raw-cluster.ts', 'node:cluster in its round-robin, two processes'),
    several('raw-transfer', 'raw-transfer.ts', 'net.Socket posted to two threads'),
  ];
}

function parallel(name: string, transport: string, dispatch: string): Contender {
  const about = `startParallel, ${transport} backend, two threads, ${dispatch}`;
  return several(name, 'portside-parallel.ts', about, { TRANSPORT: transport, DISPATCH: dispatch });
}

function dispatchContenders(echoProgram: string): readonly Contender[] {
  return [
    limit(echoProgram),
    onNode(BASELINE, 'net-callbacks.js', 'raw node:net with callbacks, in one thread'),
    ...crowd(),
    several('raw-reuseport', 'raw-reuseport.ts', 'a net.Server of each thread, on one port'),
    several('raw-native-passage', 'raw-native.ts', 'the transport contract alone, handed over', { FORM: 'passage' }),
    several('raw-native-reuseport', 'raw-native.ts', 'the transport contract alone, on one port', {
      FORM: 'reuseport',
    }),
    ...['native', 'node'].flatMap((backend) =>
      ['round-robin', 'least-busy', 'hash', 'kernel'].map((way) => parallel(`${backend}-${way}`, backend, way)),
    ),
  ];
}

function broadcastContenders(echoProgram: string): readonly Contender[] {
  const env = { BROADCAST: '1' };
  return [
    limit(echoProgram, env),
    onNode(BASELINE, 'net-broadcast.js', 'a loop over the sockets of raw node:net'),
    ...others('broadcast', env),
    ...ours('group', 'portside-broadcast.ts', 'a group'),
  ];
}

function redisContenders(): readonly Contender[] {
  return [
    onNode(REDIS, 'redis-server.ts', 'the real one, nothing kept on disk'),
    ...ours('redis', 'portside-redis.ts', 'examples/redis.ts'),
  ];
}

/** The contenders of a role. `echoProgram`: the compiled C server. `layers`: with those that measure the layers of Portside one by one. */
export function contendersOf(role: Role, echoProgram: string, layers: boolean): readonly Contender[] {
  if (role === 'dispatch') return dispatchContenders(echoProgram);
  if (role === 'broadcast') return broadcastContenders(echoProgram);
  if (role === 'redis') return redisContenders();
  const protocol = ours('protocol', 'portside-protocol.ts', 'protocol handler');
  const borrow = ours('borrow', 'portside-protocol.ts', 'protocol handler that borrows', { BORROW: '1' });
  const command = ours(
    'serve',
    'portside-protocol.ts',
    'protocol handler, in a process like that of `portside serve`',
    {
      AS_COMMAND: '1',
    },
  );
  const inner = [
    ...ours('channel', 'portside-channel.ts', 'the transport contract alone'),
    ...ours('bare', 'portside-bare.ts', 'bare connections: accept and `for await`'),
  ];
  return [
    limit(echoProgram),
    onNode(BASELINE, 'net-callbacks.js', 'raw node:net with callbacks'),
    ...others(role),
    ...(layers ? inner : []),
    ...protocol,
    ...(role === 'echo' ? [...borrow.slice(1), ...command.slice(1)] : []),
    ...ours('await', 'portside-await.ts', '`for await` handler'),
    ...(role === 'echo'
      ? [...crowd(), parallel('workers-node', 'node', 'least-busy'), parallel('workers-native', 'native', 'least-busy')]
      : []),
  ];
}
