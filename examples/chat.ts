// A chat room by lines. The first line is one's name; every other is told to all.
//   npx portside serve examples/chat.ts --port 7000            (as npm start does)
//   nc 127.0.0.1 7000
// Who talks too fast is told so, and put out when he goes on. How many may come, and how often, is for the server to say, here or
// in a file of options, as chat.config.ts is one:
//   npx portside serve examples/chat.ts --port 7000 --per-client 5 --rate 20/1m --max-connections 500
import { Group, currentClock } from 'portside';
import type { Connection, ReadOptions } from 'portside';

/** Lines that one may say at once after a pause, and milliseconds until he may say one more. */
const BURST = 8;
const EVERY = 500;
/** Lines beyond those that are not passed on, before he has to go. Each line that comes in time is forgiven one of them. */
const PATIENCE = 5;

/** Whoever does not read has to go; the others don't wait. */
const room = new Group<string>({ slow: 'close', limit: 256 * 1024 });

export default async function chat(conn: Connection<string>): Promise<void> {
  conn.draining.addEventListener(
    'abort',
    () => void conn.write('* the server is stopping; say what you have to say\n'),
  );
  const ear = new Ear(conn);
  void conn.write('What is your name?\n');
  if (!(await enter(conn, ear))) return;
  // Who is silent in a chat is not idle: when the server stops, everybody may finish talking.
  conn.busy = true;
  try {
    for (let line = await ear.hear({ limit: 1024 }); line !== null; line = await ear.hear({ limit: 1024 })) {
      if (line.trim() !== '') room.send(`${conn.data}: ${line}\n`);
    }
  } finally {
    room.delete(conn);
    room.send(`* ${conn.data} departed\n`);
  }
}

/** Asks for a name until one is free, and takes it at once: nothing is awaited in between. Whether there was one. */
async function enter(conn: Connection<string>, ear: Ear): Promise<boolean> {
  for (;;) {
    const line = await ear.hear({ limit: 64, timeout: 60_000 });
    if (line === null) return false;
    const name = line.trim();
    const present = [...room].map((member) => member.data);
    if (!/^[\p{L}\p{N}_.-]{1,24}$/u.test(name)) {
      void conn.write('One to 24 letters and digits, please. Your name?\n');
    } else if (present.includes(name)) {
      void conn.write('That name is taken. Another?\n');
    } else {
      conn.data = name;
      void conn.write(present.length === 0 ? 'You are the first one here.\n' : `Here are: ${present.join(', ')}\n`);
      room.send(`* ${name} arrived\n`);
      room.add(conn);
      return true;
    }
  }
}

/** Hears what one says, as long as he does not talk too fast. */
class Ear {
  readonly #conn: Connection<string>;
  readonly #clock = currentClock();
  /** When he may say as much as after a pause again. */
  #rested = 0;
  #unheard = 0;

  constructor(conn: Connection<string>) {
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
