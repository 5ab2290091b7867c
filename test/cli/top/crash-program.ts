/** Takes the terminal, and dies. */
import { Terminal } from '../../../src/cli/top/terminal.ts';
import { span } from '../../../src/cli/top/text.ts';

const nothing = (): void => {};
const listener = { key: nothing, resized: nothing, gone: nothing };
const terminal = new Terminal(process.stdin, process.stdout, listener);
terminal.draw([[span('all is well')]]);
setImmediate(() => {
  throw new Error('out of luck');
});
