/** Who is measured. */
import { fileURLToPath } from 'node:url';

export interface Contender {
  readonly name: string;
  /** What it is, in a few words. */
  readonly about: string;
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  /** Whether it runs on Node, and can be asked for its heap. */
  readonly onNode: boolean;
}

/** A column of ratios. */
export interface Comparison {
  readonly head: string;
  /** To whom a contender is put in relation; undefined: to nobody. */
  readonly to: (name: string) => string | undefined;
}

/** Those that the others are put in relation to. */
export const LIMIT = 'c';
export const BASELINE = 'net-callbacks';
export const CLUSTER = 'cluster';

/** The columns of echo and accept. */
export const comparisons: readonly Comparison[] = [LIMIT, BASELINE].map((name) => ({ head: name, to: () => name }));

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

/** The columns of dispatch. */
export const dispatchComparisons: readonly Comparison[] = [
  { head: LIMIT, to: () => LIMIT },
  { head: 'raw form', to: (name) => RAW_FORMS[name] },
  { head: CLUSTER, to: () => CLUSTER },
];

/** Threads or processes that serve, in those of dispatch that have several. */
const WORKERS = 2;

function onNode(name: string, file: string, about: string, env: Readonly<Record<string, string>> = {}): Contender {
  const script = fileURLToPath(new URL(`../servers/${file}`, import.meta.url));
  return { name, about, command: [process.execPath, '--expose-gc', script], env, onNode: true };
}

function ours(layer: string, about: string): readonly Contender[] {
  return ['node', 'native'].map((backend) =>
    onNode(`${layer}-${backend}`, `portside-${layer}.ts`, `${about}, ${backend} backend`, { TRANSPORT: backend }),
  );
}

function limit(echoProgram: string): Contender {
  return { name: LIMIT, about: 'epoll loop in C, the limit', command: [echoProgram], env: {}, onNode: false };
}

/** The contenders of dispatch; `echoProgram` is the compiled C server. */
export function dispatchContenders(echoProgram: string): readonly Contender[] {
  const several = (name: string, file: string, about: string, env: Readonly<Record<string, string>> = {}): Contender =>
    onNode(name, file, about, { ...env, WORKERS: String(WORKERS) });
  const ways = ['native', 'node'].flatMap((backend) =>
    ['round-robin', 'least-busy', 'hash', 'kernel'].map((dispatch) =>
      several(`${backend}-${dispatch}`, 'portside-parallel.ts', `startParallel, ${backend} backend, ${dispatch}`, {
        TRANSPORT: backend,
        DISPATCH: dispatch,
      }),
    ),
  );
  return [
    limit(echoProgram),
    onNode(BASELINE, 'net-callbacks.js', 'raw node:net with callbacks, in one thread'),
    several(CLUSTER, 'raw-cluster.ts', 'node:cluster, in its round-robin'),
    several('raw-transfer', 'raw-transfer.ts', 'net.Socket posted to threads'),
    several('raw-reuseport', 'raw-reuseport.ts', 'a net.Server of each thread, on one port'),
    several('raw-native-passage', 'raw-native.ts', 'the transport contract alone, handed over', { FORM: 'passage' }),
    several('raw-native-reuseport', 'raw-native.ts', 'the transport contract alone, on one port', {
      FORM: 'reuseport',
    }),
    ...ways,
  ];
}

/** The contenders of the other works; `echoProgram` is the compiled C server. */
export function contenders(echoProgram: string): readonly Contender[] {
  return [
    limit(echoProgram),
    onNode(BASELINE, 'net-callbacks.js', 'raw node:net with callbacks'),
    ...ours('channel', 'the transport contract alone'),
    ...ours('bare', 'bare connections: accept and `for await`'),
    ...ours('protocol', 'protocol handler'),
    ...ours('await', '`for await` handler'),
  ];
}
