/** The contenders of one run: which take part, which can't, and which failed. */
import type { Contender } from './contenders.ts';
import type { Programs } from './compile.ts';
import { Child } from './child.ts';
import { shuffled } from './statistics.ts';

/** How long a server may take to listen, milliseconds. */
const START_PATIENCE = 20_000;

export interface Bench {
  readonly programs: Programs;
  readonly cores: { readonly server: number | undefined; readonly load: number | undefined };
  readonly field: Field;
}

export interface Server {
  readonly child: Child;
  readonly port: number;
  /** All its processes, that of the child first. */
  readonly pids: readonly number[];
  readonly tellsMemory: boolean;
}

/** Starts a contender's server on its core. */
export async function startServer(bench: Pick<Bench, 'cores'>, contender: Contender): Promise<Server> {
  if (contender.missing !== undefined) throw new Error(contender.missing);
  const child = new Child(contender.name, contender.command, { ...contender.env, PORT: '0' }, bench.cores.server);
  try {
    const [port = NaN, ...others] = (await child.line('PORT ', START_PATIENCE)).split(' ').map(Number);
    return { child, port, pids: [child.pid, ...others], tellsMemory: contender.tellsMemory };
  } catch (error) {
    await child.end();
    throw error;
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export class Field {
  readonly #racing: Contender[];
  /** Why those that were left out or dropped were, by name. */
  readonly troubles: Map<string, string> = new Map();
  /** Whether one failed while it was measured. */
  failed = false;

  constructor(contenders: readonly Contender[]) {
    this.#racing = [...contenders];
  }

  /** Those that still take part, in the order of the tables. */
  get racing(): readonly Contender[] {
    return this.#racing;
  }

  /** Takes a contender out for the rest of the run. */
  drop(contender: Contender, why: string): void {
    const at = this.#racing.indexOf(contender);
    if (at >= 0) this.#racing.splice(at, 1);
    this.troubles.set(contender.name, why);
  }

  /** Runs `one` for every contender in turn, in a new order each round. One that fails is dropped. */
  async rounds(
    count: number,
    progress: (text: string) => void,
    one: (contender: Contender, round: number) => Promise<void>,
  ): Promise<void> {
    for (let round = 0; round < count; round++) {
      for (const contender of shuffled(this.#racing)) {
        progress(`round ${round + 1} of ${count}: ${contender.name}`);
        try {
          await one(contender, round);
        } catch (error) {
          this.drop(contender, messageOf(error));
          this.failed = true;
        }
      }
    }
  }
}
