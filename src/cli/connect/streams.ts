import type { Readable, Writable } from 'node:stream';

/** What a conversation reads and writes, and what of it is a terminal. */
export interface Streams {
  readonly input: Readable;
  readonly output: Writable;
  readonly inputIsTerminal: boolean;
  readonly outputIsTerminal: boolean;
  readonly errorIsTerminal: boolean;
}

/** Those of the process. */
export function processStreams(): Streams {
  const { stdin, stdout, stderr } = process;
  return {
    input: stdin,
    output: stdout,
    inputIsTerminal: stdin.isTTY,
    outputIsTerminal: stdout.isTTY,
    errorIsTerminal: stderr.isTTY,
  };
}
