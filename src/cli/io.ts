import { LogOutput } from '../ops/log-output.ts';

/** What the command writes to; the process's own unless a test says otherwise. */
export interface CommandIo {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Whether `err` is a terminal. @default false */
  readonly terminal?: boolean | undefined;
  /** `told` gets the number of texts that `err` had to drop, when there is room again. */
  readonly onRoom?: ((told: (lost: number) => void) => void) | undefined;
}

let room: (lost: number) => void = () => {};
let errors: LogOutput | null = null;

export const processIo: CommandIo = {
  out: (text) => {
    process.stdout.write(text);
  },
  err: (text) => {
    // A reader that stalls costs lines, and never the server.
    errors ??= new LogOutput(process.stderr, (lost) => room(lost));
    errors.write(text);
  },
  get terminal() {
    return process.stderr.isTTY;
  },
  onRoom: (told) => {
    room = told;
  },
};
