// A chat room by lines. The first line is one's name; every other is told to all.
//   npm start            (or: npx portside serve examples/chat.ts --port 7000)
//   nc 127.0.0.1 7000
import { Group } from 'portside';
import type { Connection } from 'portside';

/** Whoever does not read has to go; the others don't wait. */
const room = new Group<string>({ slow: 'close', limit: 256 * 1024 });

export default async function chat(conn: Connection<string>): Promise<void> {
  void conn.write('What is your name?\n');
  const name = await askName(conn);
  if (name === null) return;
  conn.data = name;
  const present = [...room].map((member) => member.data);
  void conn.write(present.length === 0 ? 'You are the first one here.\n' : `Here are: ${present.join(', ')}\n`);
  room.send(`* ${name} arrived\n`);
  room.add(conn);
  conn.draining.addEventListener(
    'abort',
    () => void conn.write('* the server is stopping; say what you have to say\n'),
  );
  try {
    for (let line = await conn.readLine({ limit: 1024 }); line !== null; line = await conn.readLine({ limit: 1024 })) {
      if (line.trim() !== '') room.send(`${name}: ${line}\n`);
    }
  } finally {
    room.delete(conn);
    room.send(`* ${name} departed\n`);
  }
}

async function askName(conn: Connection<string>): Promise<string | null> {
  for (;;) {
    const line = await conn.readLine({ limit: 64, timeout: 60_000 });
    if (line === null) return null;
    const name = line.trim();
    const taken = [...room].some((member) => member.data === name);
    if (/^[\p{L}\p{N}_.-]{1,24}$/u.test(name) && !taken) return name;
    void conn.write(taken ? 'That name is taken. Another?\n' : 'One to 24 letters and digits, please. Your name?\n');
  }
}
