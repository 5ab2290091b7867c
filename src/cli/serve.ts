import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { parseEndpoint } from '../net/endpoint.ts';
import type { EndpointLike } from '../net/endpoint.ts';
import { serve } from '../server/server.ts';
import type { Server } from '../server/server.ts';
import { formatAddress } from '../transport/address.ts';
import type { Address } from '../transport/address.ts';
import { loadHandler } from './handler-module.ts';
import { explain } from './explain.ts';
import type { CommandIo } from './io.ts';

interface ServeFlags {
  readonly port?: string;
  readonly host: string;
  readonly endpoint?: readonly string[];
  readonly backlog?: number;
  readonly maxConnections?: number;
  readonly mode?: number;
  readonly grace: number;
  readonly transport?: 'auto' | 'node' | 'native';
  readonly verbose?: boolean;
}

/** Adds `portside serve`. */
export function serveCommand(program: Command, io: CommandIo, exit: (code: number) => void): void {
  program
    .command('serve')
    .description('serve connections by the handler that a module exports as its default')
    .argument('<module>', 'a JavaScript or TypeScript file; TypeScript runs as it is')
    .option('-p, --port <port>', 'the port: a number (0: any that is free) or the name of a service')
    .option('--host <host>', 'the address to listen on; 0.0.0.0 or :: lets others than this machine in', '127.0.0.1')
    .option(
      '-e, --endpoint <endpoint>',
      'where to listen, instead of --port: tcp://host:port, unix:///run/x.sock, fd://3, systemd://name; may be given several times',
      (value: string, before: readonly string[] | undefined): readonly string[] | undefined => [
        ...(before ?? []),
        value,
      ],
    )
    .option('--backlog <count>', 'connections that may wait unaccepted (default: 511)', count)
    .option('--max-connections <count>', 'connections at a time (default: 10000)', count)
    .option('--mode <octal>', 'permissions of a Unix domain socket, as in 660', octal)
    .option(
      '--grace <ms>',
      'milliseconds that connections have to come to their end when the server stops',
      milliseconds,
      10_000,
    )
    .option('--transport <name>', 'what carries the bytes: auto, node or native (default: auto)', transport)
    .option('--verbose', 'show where an error comes from')
    .addHelpText(
      'after',
      '\nExamples:\n  portside serve chat.ts --port 7000\n  portside serve echo.ts --endpoint unix:///tmp/echo.sock',
    )
    .action(async (file: string, flags: ServeFlags, command: Command) => {
      if (flags.port === undefined && flags.endpoint === undefined) {
        command.error('error: say where to listen: --port or --endpoint', { exitCode: 2 });
      }
      if (flags.port === undefined && command.getOptionValueSource('host') === 'cli') {
        command.error('error: --host goes with --port; an endpoint names its own host', { exitCode: 2 });
      }
      exit(await serveModule(file, flags, io));
    });
}

async function serveModule(file: string, flags: ServeFlags, io: CommandIo): Promise<number> {
  const places = placesOf(flags);
  const handler = await loadHandler(file);
  const server = await serve(handler, {
    listen: places,
    backlog: flags.backlog,
    maxConnections: flags.maxConnections,
    mode: flags.mode,
    grace: flags.grace,
    transport: flags.transport,
    onError: (error, connection) => {
      const what = explain(error, flags.verbose === true);
      io.err(`portside: the handler failed for ${peer(connection.remote)}: ${what}\n`);
    },
  });
  // Whoever reads that it serves may send a signal at once.
  const stopped = untilStopped(server, io);
  for (const address of server.addresses)
    io.out(`portside: serving ${file} on ${formatAddress(address)}; ${hint(address)}\n`);
  await stopped;
  return 0;
}

function placesOf(flags: ServeFlags): readonly EndpointLike[] {
  const { port, host, endpoint = [] } = flags;
  const places: EndpointLike[] = endpoint.map((text) => parseEndpoint(text, 'server', '--endpoint'));
  if (port !== undefined) places.unshift(parseEndpoint({ port, host }, 'server', '--port'));
  return places;
}

/** How to try it. */
function hint(address: Address): string {
  switch (address.family) {
    case 'ipv4':
    case 'ipv6': {
      const any = address.host === '0.0.0.0' ? '127.0.0.1' : address.host === '::' ? '::1' : address.host;
      return `connect with: nc ${any} ${address.port}`;
    }
    case 'unix':
      return address.path.startsWith('\0')
        ? `connect with: socat - ABSTRACT-CONNECT:${quoted(address.path.slice(1))}`
        : `connect with: nc -U ${quoted(address.path)}`;
    case 'memory':
      return 'in memory';
  }
}

/** A word as a shell wants it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/u.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

function peer(remote: Address): string {
  return remote.family === 'unix' && remote.path === '' ? 'a local client' : formatAddress(remote);
}

/** One Ctrl-C may come twice, from the terminal and from npm, which passes it on. The same signal again within these milliseconds is the same. */
const SAME_SIGNAL = 500;

/** The first SIGINT or SIGTERM lets connections come to their end, the second ends them. */
async function untilStopped(server: Server, io: CommandIo): Promise<void> {
  let first: { readonly signal: NodeJS.Signals; readonly at: number } | null = null;
  const onSignal = (signal: NodeJS.Signals): void => {
    const now = performance.now();
    if (first !== null) {
      if (signal !== first.signal || now - first.at >= SAME_SIGNAL) void server.stop({ grace: 0 });
      return;
    }
    first = { signal, at: now };
    const { active } = server.counts;
    // The ports are closed when it is said.
    void server.stop();
    io.err(
      active === 0
        ? `portside: ${signal}, stopping\n`
        : `portside: ${signal}, waiting for ${active} ${active === 1 ? 'connection' : 'connections'}; once more ends them\n`,
    );
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  try {
    await server.stopped;
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  }
}

function count(text: string): number {
  if (!/^[1-9]\d{0,8}$/u.test(text)) throw new InvalidArgumentError('It has to be a whole number from 1 on.');
  return Number(text);
}

function milliseconds(text: string): number {
  if (!/^\d{1,9}$/u.test(text)) throw new InvalidArgumentError('It has to be a whole number of milliseconds.');
  return Number(text);
}

function octal(text: string): number {
  if (!/^0?[0-7]{3}$/u.test(text)) throw new InvalidArgumentError('It has to be three octal digits, as in 660.');
  return Number.parseInt(text, 8);
}

function transport(text: string): 'auto' | 'node' | 'native' {
  if (text === 'auto' || text === 'node' || text === 'native') return text;
  throw new InvalidArgumentError('It can be auto, node or native.');
}
