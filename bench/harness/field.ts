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

/** A contender can't run here. */
export class Unfit extends Error {}

/** Starts a contender's server on its core; throws {@link Unfit} when it does not come to listen. */
export async function startServer(bench: Pick<Bench, 'cores'>, contender: Contender): Promise<Server> {
  if (contender.missing !== undefined) throw new Unfit(contender.missing);
  const child = new Child(contender.name, contender.command, { ...contender.env, PORT: '0' }, bench.cores.server);
  try {
    const [port = NaN, ...others] = (await child.line('PORT ', START_PATIENCE)).split(' ').map(Number);
    return { child, port, pids: [child.pid, ...others], tellsMemory: contender.tellsMemory };
  } catch (error) {
    await child.end();
    throw new Unfit(messageOf(error), { cause: error });
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
  readonly #asked: boolean;
  readonly #lanes: number;

  /**
   * @param asked Whether they were named: one that can't run is an error then, and else left out.
   * @param lanes How many run at a time.
   */
  constructor(contenders: readonly Contender[], asked: boolean, lanes: number) {
    this.#racing = [...contenders];
    this.#asked = asked;
    this.#lanes = lanes;
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
      const waiting = shuffled(this.#racing);
      const lane = async (): Promise<void> => {
        for (let contender = waiting.shift(); contender !== undefined; contender = waiting.shift()) {
          progress(`round ${round + 1} of ${count}: ${contender.name}`);
          await this.#run(contender, round, one);
        }
      };
      await Promise.all(Array.from({ length: this.#lanes }, lane));
    }
  }

  async #run(
    contender: Contender,
    round: number,
    one: (contender: Contender, round: number) => Promise<void>,
  ): Promise<void> {
    try {
      await one(contender, round);
    } catch (error) {
      const unfit = error instanceof Unfit && round === 0;
      if (unfit && this.#asked) throw error;
      this.drop(contender, messageOf(error));
      this.failed ||= !unfit;
    }
  }
}
