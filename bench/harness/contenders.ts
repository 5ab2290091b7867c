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

/** The two that the others are put in relation to. */
export const LIMIT = 'c';
export const BASELINE = 'net-callbacks';

function onNode(name: string, file: string, about: string, env: Readonly<Record<string, string>> = {}): Contender {
  const script = fileURLToPath(new URL(`../servers/${file}`, import.meta.url));
  return { name, about, command: [process.execPath, '--expose-gc', script], env, onNode: true };
}

function ours(layer: string, about: string): readonly Contender[] {
  return ['node', 'native'].map((backend) =>
    onNode(`${layer}-${backend}`, `portside-${layer}.ts`, `${about}, ${backend} backend`, { TRANSPORT: backend }),
  );
}

/** All contenders; `echoProgram` is the compiled C server. */
export function contenders(echoProgram: string): readonly Contender[] {
  return [
    { name: LIMIT, about: 'epoll loop in C, the limit', command: [echoProgram], env: {}, onNode: false },
    onNode(BASELINE, 'net-callbacks.js', 'raw node:net with callbacks'),
    ...ours('channel', 'the transport contract alone'),
    ...ours('bare', 'bare connections: accept and `for await`'),
    ...ours('protocol', 'protocol handler'),
    ...ours('await', '`for await` handler'),
  ];
}
