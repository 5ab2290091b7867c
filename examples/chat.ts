// A chat room by lines. The first line is one's name; every other is told to all.
//   npx portside serve examples/chat.ts --port 7000            (as npm start does)
//   nc 127.0.0.1 7000
// Who talks too fast is told so, and put out when he goes on. How many may come, and how often, is for the server to say, here or
// in a file of options, as chat.config.ts is one:
//   npx portside serve examples/chat.ts --port 7000 --per-client 5 --rate 20/1m --max-connections 500
import { Group, channel, currentClock } from 'portside';
import type { Connection, ReadOptions } from 'portside';

/** Lines that one may say at once after a pause, and milliseconds until he may say one more. */
const BURST = 8;
const EVERY = 500;
/** Lines beyond those that are not passed on, before he has to go. Each line that comes in time is forgiven one of them. */
const PATIENCE = 5;

/** Somebody, with his name once he has one. */
type Guest = Connection<string | undefined>;
/** What the workers of one server tell one another. */
type News = { readonly kind: 'arrived' | 'departed' | 'said'; readonly text: string };

/** Whoever does not read has to go; the others don't wait. */
const room = new Group<string | undefined>({ slow: 'close', limit: 256 * 1024 });
const news = channel<News>('chat');
/** The names of all who are here, on every worker, and on which one each is. */
const names = new Map<string, number>();
/** This worker. A server with one thread has no others, and any number will do. */
const own = (): number => news.self ?? 0;

export default async function chat(conn: Guest): Promise<void> {
  conn.draining.addEventListener(
    'abort',
    () => void conn.write('* the server is stopping; say what you have to say\n'),
  );
  const ear = new Ear(conn);
  void conn.write('What is your name?\n');
  try {
    for (;;) {
      const line = await ear.hear(conn.data === undefined ? { limit: 64, timeout: 60_000 } : { limit: 1024 });
      if (line === null) return;
      if (conn.data === undefined) enter(conn, line.trim());
      else if (line.trim() !== '') tell('said', `${conn.data}: ${line}\n`);
    }
  } finally {
    room.delete(conn);
    if (conn.data !== undefined) tell('departed', conn.data);
  }
}

/** Lets somebody in whose name is free, and takes it at once: nothing is awaited in between. */
function enter(conn: Guest, name: string): void {
  if (!/^[\p{L}\p{N}_.-]{1,24}$/u.test(name)) {
    void conn.write('One to 24 letters and digits, please. Your name?\n');
  } else if (names.has(name)) {
    void conn.write('That name is taken. Another?\n');
  } else {
    void conn.write(names.size === 0 ? 'You are the first one here.\n' : `Here are: ${[...names.keys()].join(', ')}\n`);
    tell('arrived', name);
    conn.data = name;
    // Who is silent in a chat is not idle: when the server stops, everybody may finish talking.
    conn.busy = true;
    room.add(conn);
  }
}

/** Tells everybody here, and on the other workers. */
function tell(kind: News['kind'], text: string): void {
  hear({ kind, text }, own());
  news.broadcast({ kind, text });
}

/** Tells everybody here what happened on a worker. */
function hear({ kind, text }: News, worker: number): void {
  const owner = names.get(text);
  if (kind === 'said') room.send(text);
  else if (kind === 'departed' && owner === worker) {
    names.delete(text);
    room.send(`* ${text} departed\n`);
  } else if (kind === 'arrived' && (owner === undefined || worker < owner)) {
    // Two workers may give one name away in the same moment. All agree that the lower one keeps it.
    names.set(text, worker);
    if (owner === undefined) room.send(`* ${text} arrived\n`);
    else if (owner === own()) askAgain(text);
  }
}

/** Somebody else has this name. */
function askAgain(name: string): void {
  for (const conn of room) {
    if (conn.data !== name) continue;
    room.delete(conn);
    conn.data = undefined;
    void conn.write('That name is taken. Another?\n');
    news.broadcast({ kind: 'departed', text: name });
  }
}

news.receive((item, from) => {
  if (!from.parent) hear(item, from.worker);
});
// A worker that comes is told who is here, and one that goes takes his guests along.
news.onMember(({ kind, worker }) => {
  for (const [name, owner] of names) {
    if (kind === 'joined' && owner === own()) news.send({ worker }, { kind: 'arrived', text: name });
    if (kind === 'gone' && owner === worker) hear({ kind: 'departed', text: name }, worker);
  }
});

/** Hears what one says, as long as he does not talk too fast. */
class Ear {
  readonly #conn: Guest;
  readonly #clock = currentClock();
  /** When he may say as much as after a pause again. */
  #rested = 0;
  #unheard = 0;

  constructor(conn: Guest) {
    this.#conn = conn;
  }

  /** The next line, with nothing in it that a terminal would obey; null when no other comes, or he has to go. */
  async hear(options: ReadOptions & { limit: number }): Promise<string | null> {
    for (;;) {
      const line = await this.#conn.readLine(options);
      if (line === null) return null;
      const now = this.#clock.now();
      const rested = Math.max(this.#rested, now) + EVERY;
      if (rested <= now + BURST * EVERY) {
        this.#rested = rested;
        this.#unheard = Math.max(0, this.#unheard - 1);
        return line.replaceAll(/\p{Cc}/gu, ' ');
      }
      this.#unheard += 1;
      if (this.#unheard > PATIENCE) {
        void this.#conn.write('* you were told; goodbye\n');
        return null;
      }
      void this.#conn.write('* not so fast: nobody heard that\n');
    }
  }
}
