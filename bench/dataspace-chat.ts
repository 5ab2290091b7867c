/**
 * What it costs a chat room to tell everybody each line, by hand and in a dataspace, over real TCP: the server's own CPU time for each
 * line to each member. `node bench/dataspace-chat.ts [members] [lines] [rounds]`. Servers take turns within a round.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const [MEMBERS = 1_000, LINES = 100, ROUNDS = 5] = process.argv.slice(2).map(Number);
const TICK = 10_000;

interface Contender {
  readonly name: string;
  readonly server: string;
  readonly env: Readonly<Record<string, string>>;
}

const contenders: readonly Contender[] = (['native', 'node'] as const).flatMap((TRANSPORT) => [
  { name: `${TRANSPORT}, by hand`, server: 'chat-group.ts', env: { TRANSPORT } },
  { name: `${TRANSPORT}, dataspace`, server: 'chat-space.ts', env: { TRANSPORT } },
  { name: `${TRANSPORT}, nested space`, server: 'chat-space.ts', env: { TRANSPORT, NESTED: '1' } },
]);

async function start({ server, env }: Contender): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, [new URL(`servers/${server}`, import.meta.url).pathname], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout?.once('data', (text: Buffer) => resolve(Number(/PORT (\d+)/u.exec(text.toString())?.[1])));
    child.once('exit', (code) => reject(new Error(`${server} ended with ${String(code)}`)));
  });
  return { child, port };
}

/** Microseconds of CPU that a process took so far; to a hundredth of a second, as the system counts it. */
function cpuOf({ pid = 0 }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK;
}

class Room {
  readonly #sockets: Socket[] = [];
  #bytes = 0;
  #wanted = Infinity;
  #reached: () => void = () => {};

  async fill(port: number): Promise<void> {
    for (let i = 0; i < MEMBERS; i += 1) {
      const socket = connect(port, '127.0.0.1');
      socket.on('data', (chunk) => {
        this.#bytes += chunk.length;
        if (this.#bytes >= this.#wanted) this.#reached();
      });
      await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
      this.#sockets.push(socket);
    }
    // Who is connected may not be a member yet, and hears nothing before.
    await pause(1_000);
  }

  /** One after another says a line, when everybody has heard the last. */
  async talk(lines: number): Promise<void> {
    for (let i = 0; i < lines; i += 1) {
      const at = i % this.#sockets.length;
      const line = `line ${i} of what somebody says\n`;
      this.#wanted = this.#bytes + MEMBERS * (`user${at + 1}: `.length + line.length);
      const heard = new Promise<void>((resolve) => (this.#reached = resolve));
      this.#sockets[at]?.write(line);
      await heard;
    }
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

async function measure(contender: Contender): Promise<number> {
  const { child, port } = await start(contender);
  const room = new Room();
  await room.fill(port);
  await room.talk(10);
  const before = cpuOf(child);
  await room.talk(LINES);
  const taken = cpuOf(child) - before;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  room.close();
  child.stdin?.end();
  await ended;
  return taken / LINES / MEMBERS;
}

const costs = contenders.map(() => [] as number[]);
for (let round = 0; round < ROUNDS; round += 1)
  for (const [i, contender] of contenders.entries()) costs[i]?.push(await measure(contender));

const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? NaN;
process.stdout.write(
  `${MEMBERS} members, ${LINES} lines, median of ${ROUNDS}: µs of the server's CPU for each line to each member\n`,
);
for (const [i, { name }] of contenders.entries()) {
  const byHand = median(costs[i - (i % 3)] ?? []);
  const own = median(costs[i] ?? []);
  process.stdout.write(`${name.padEnd(24)} ${own.toFixed(2).padStart(7)}   ${(own / byHand).toFixed(2)} × by hand\n`);
}
