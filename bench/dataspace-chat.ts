/**
 * What it costs a chat room to tell everybody each line, by hand and in a dataspace, over real TCP: the server's own CPU time for each
 * line to each member; and its instructions, which the machine's other work does not touch, where perf(1) counts them.
 * `node bench/dataspace-chat.ts [members] [lines] [rounds]`. Servers take turns within a round.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
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

/** Counts the instructions of a process; what it gives ends that, and tells them: null where there is no perf(1), or no counter. */
function countInstructions({ pid = 0 }: ChildProcess): () => Promise<number | null> {
  const perf = spawn('perf', ['stat', '-x,', '-e', 'instructions', '-p', String(pid)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let told = '';
  perf.stderr.setEncoding('utf8').on('data', (text: string) => (told += text));
  const ended = once(perf, 'close').catch(() => {});
  perf.on('error', () => {});
  return async () => {
    perf.kill('SIGINT');
    await ended;
    const count = Number(/^(\d+),/mu.exec(told)?.[1]);
    return Number.isNaN(count) ? null : count;
  };
}

/** For each line to each member. */
interface Cost {
  /** Microseconds of CPU. */
  readonly cpu: number;
  readonly instructions: number | null;
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

async function measure(contender: Contender): Promise<Cost> {
  const { child, port } = await start(contender);
  const room = new Room();
  await room.fill(port);
  await room.talk(50);
  const counted = countInstructions(child);
  // Until it counts.
  await pause(300);
  const before = cpuOf(child);
  await room.talk(LINES);
  const cpu = cpuOf(child) - before;
  const instructions = await counted();
  const ended = once(child, 'exit');
  room.close();
  child.stdin?.end();
  await ended;
  const times = LINES * MEMBERS;
  return { cpu: cpu / times, instructions: instructions === null ? null : instructions / times };
}

const costs = contenders.map(() => [] as Cost[]);
for (let round = 0; round < ROUNDS; round += 1)
  for (const [i, contender] of contenders.entries()) costs[i]?.push(await measure(contender));

const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? NaN;
const cpuOfAll = (at: number): number => median((costs[at] ?? []).map(({ cpu }) => cpu));
const instructionsOfAll = (at: number): number =>
  median((costs[at] ?? []).flatMap(({ instructions }) => (instructions === null ? [] : [instructions])));
process.stdout.write(
  `${MEMBERS} members, ${LINES} lines, medians of ${ROUNDS}: µs of the server's CPU for each line to each member, and instructions\n`,
);
for (const [i, { name }] of contenders.entries()) {
  // By hand on the same transport.
  const hand = i - (i % 3);
  const [cpu, instructions] = [cpuOfAll(i), instructionsOfAll(i)];
  const counted = Number.isNaN(instructions)
    ? 'not counted'
    : `${Math.round(instructions).toString().padStart(6)}   ${(instructions / instructionsOfAll(hand)).toFixed(2)} × by hand`;
  process.stdout.write(
    `${name.padEnd(24)} ${cpu.toFixed(2).padStart(7)}   ${(cpu / cpuOfAll(hand)).toFixed(2)} × by hand   ${counted}\n`,
  );
}
