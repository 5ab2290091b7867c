import { once } from 'node:events';
import { connect } from 'node:net';
import type { NetConnectOpts, Socket } from 'node:net';

/** A handler that answers each line, and says in which process; `busy` keeps its connection through a drain. */
export const ANSWER = `
import type { Connection } from 'portside';

export default async function answer(conn: Connection): Promise<void> {
  for (let line = await conn.readLine(); line !== null; line = await conn.readLine()) {
    if (line === 'busy') conn.busy = true;
    await conn.write(\`\${line} \${process.pid}\\n\`);
  }
}
`;

/** One client of {@link ANSWER}. Whatever goes wrong rejects what it waits for. */
export class Client {
  readonly #socket: Socket;
  #text = '';
  #wake: (() => void) | null = null;
  #failure: Error | null = null;
  #ended = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#news(() => (this.#text += text)));
    socket.on('end', () => this.#news(() => (this.#ended = true)));
    socket.on('error', (error) => this.#news(() => (this.#failure = error)));
    socket.on('close', () => this.#news(() => (this.#ended = true)));
  }

  static async connect(where: NetConnectOpts): Promise<Client> {
    const socket = connect(where);
    await once(socket, 'connect');
    return new Client(socket);
  }

  /** Sends a line, and gives the process that has answered it, in its words. */
  async asked(line: string, answered: RegExp): Promise<number> {
    this.#socket.write(`${line}\n`);
    const answer = await this.#line();
    const [, pid] = answered.exec(answer) ?? [];
    if (pid === undefined) throw new Error(`${line} was answered by ${answer}`);
    return Number(pid);
  }

  /** The same where lines are given back. */
  ask(line: string): Promise<number> {
    return this.asked(line, new RegExp(`^${line} (\\d+)$`, 'u'));
  }

  /** Ends its side, and waits for the server's end. */
  async end(): Promise<void> {
    this.#socket.end();
    while (!this.#ended) await this.#more();
    if (this.#failure !== null) throw this.#failure;
  }

  async #line(): Promise<string> {
    for (;;) {
      const at = this.#text.indexOf('\n');
      if (at !== -1) {
        const line = this.#text.slice(0, at);
        this.#text = this.#text.slice(at + 1);
        return line;
      }
      if (this.#failure !== null) throw this.#failure;
      if (this.#ended) throw new Error('it was ended without an answer');
      await this.#more();
    }
  }

  async #more(): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  #news(change: () => unknown): void {
    change();
    this.#wake?.();
    this.#wake = null;
  }
}

/** What clients met. */
export interface Met {
  /** Connections that were made, answered, and ended in order. */
  short: number;
  /** Questions of those that stay. */
  asked: number;
  /** How many of them came to another process than the one before. */
  moved: number;
  readonly pids: Set<number>;
  readonly failures: string[];
}

/** Clients at each of these places until `stop` is called: some connect, ask once and go, as fast as they can; some stay, and ask again and again. Each long one lives for some time, and then another takes its place. */
export function load(places: readonly NetConnectOpts[]): { readonly met: Met; readonly stop: () => Promise<Met> } {
  const met: Met = { short: 0, asked: 0, moved: 0, pids: new Set(), failures: [] };
  let stopping = false;
  const failed = (what: string, error: unknown): void => {
    const { code = '', message } = error as NodeJS.ErrnoException;
    met.failures.push(`${what}: ${code} ${message}`);
  };
  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

  const short = async (where: NetConnectOpts): Promise<void> => {
    while (!stopping) {
      try {
        const client = await Client.connect(where);
        met.pids.add(await client.ask('short'));
        await client.end();
        met.short += 1;
      } catch (error) {
        failed('short', error);
      }
      // The load leaves something of the machine to those that are started.
      await pause(2);
    }
  };
  const long = async (where: NetConnectOpts, life: number): Promise<void> => {
    while (!stopping) {
      try {
        const client = await Client.connect(where);
        const pid = await client.ask('busy');
        for (const until = performance.now() + life; performance.now() < until && !stopping; await pause(20)) {
          if ((await client.ask('long')) !== pid) throw new Error('it was answered by another process');
          met.asked += 1;
        }
        await client.end();
      } catch (error) {
        failed('long', error);
      }
    }
  };
  const all = places.flatMap((where) => [
    short(where),
    short(where),
    short(where),
    long(where, 1_500),
    long(where, 3_000),
  ]);
  return {
    met,
    stop: async () => {
      stopping = true;
      await Promise.all(all);
      return met;
    },
  };
}
