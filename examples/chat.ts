// A chat room by lines. The first line is one's name; every other is told to all.
//   npm start            (or: npx portside serve examples/chat.ts --port 7000)
//   nc 127.0.0.1 7000
import { Group } from 'portside';
import type { Connection } from 'portside';

/** Whoever does not read has to go; the others don't wait. */
const room = new Group<string>({ slow: 'close', limit: 256 * 1024 });

export default async function chat(conn: Connection<string>): Promise<void> {
  conn.draining.addEventListener(
    'abort',
    () => void conn.write('* the server is stopping; say what you have to say\n'),
  );
  void conn.write('What is your name?\n');
  if (!(await enter(conn))) return;
  try {
    for (let line = await conn.readLine({ limit: 1024 }); line !== null; line = await conn.readLine({ limit: 1024 })) {
      if (line.trim() !== '') room.send(`${conn.data}: ${line}\n`);
    }
  } finally {
    room.delete(conn);
    room.send(`* ${conn.data} departed\n`);
  }
}

/** Asks for a name until one is free, and takes it at once: nothing is awaited in between. Whether there was one. */
async function enter(conn: Connection<string>): Promise<boolean> {
  for (;;) {
    const line = await conn.readLine({ limit: 64, timeout: 60_000 });
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
