import type { Command } from 'commander';
import { PortsideError, isPortsideError } from '../base/errors.ts';
import { OptionsError, check } from '../base/options.ts';
import type { Problem } from '../base/options.ts';
import { parseEndpoint } from '../net/endpoint.ts';
import type { EndpointLike } from '../net/endpoint.ts';
import { configTable } from '../parallel/config.ts';
import type { WorkersConfig } from '../parallel/config.ts';
import { howFields, parallelTable } from '../parallel/options.ts';
import type { ServerOptions } from '../server/options.ts';
import { ADMIN_OPTIONS, adminFlags, adminProblems } from './admin/admin-settings.ts';
import type { AdminFlags } from './admin/admin-settings.ts';
import { loadConfig } from './config-file.ts';
import type { LoadedConfig } from './config-file.ts';
import { givenFlags, layerOf } from './flag.ts';
import type { GivenFlags } from './flag.ts';
import type { CommandIo } from './io.ts';
import { logSettings, openCommandLog } from './log/command-log.ts';
import type { CommandLog } from './log/command-log.ts';
import { mergeOptions } from './merge-options.ts';
import type { Layer } from './merge-options.ts';
import { tellProblems } from './option-names.ts';
import { parallelOptions } from './parallel-options.ts';
import { serverFlags } from './server-flags.ts';
import { workerFlags } from './worker-flags.ts';

/** What a command line and a config file come to. */
export interface Gathered {
  /** Checked; with `selfSigned`, the certificate and its key are still to come. */
  readonly options: ServerOptions;
  readonly config: LoadedConfig | null;
  /** What `--tls-self-signed` says: the folder, true without one, false when it was not given. */
  readonly selfSigned: string | boolean;
  /** How workers serve; null when the main thread does. */
  readonly workers: WorkersConfig | null;
  /** Whether the module is watched. */
  readonly watch: boolean;
  /** What is said of the admin endpoint; null when there is none. */
  readonly admin: AdminFlags | null;
  /** Where lines go, and how the command says what it has to say. */
  readonly log: CommandLog;
}

/** What a command has beside what is given. */
export interface GatherHow {
  /** What holds when nothing else is said. */
  readonly defaults?: Layer | undefined;
  /** Whether it can serve in workers. @default false */
  readonly parallel?: boolean | undefined;
}

interface CommandFlags {
  readonly config?: string | false;
  readonly tlsSelfSigned?: string | true;
  readonly watch?: true;
}

/** Options that stand for one another: what says where to listen, and what belongs to one certificate. */
const INSTEAD = [
  ['listen', 'endpoint', 'port', 'path', 'fd'],
  ['tls.cert', 'tls.key', 'tls.passphrase'],
];

/** Options that the command gives itself. */
const OWN = ['log', 'logger', 'permits', 'signal'];

/** What is said of workers, which a command without them leaves alone. */
const WORKERS = ['workers', ...Object.keys(howFields)];

/** What is said of the log, which the command sees to. */
const LOG = ['logLevel', 'logFormat'];

/** Stands for the certificate and the key of `--tls-self-signed` while the rest is checked. */
const PENDING = '(self-signed)';

/**
 * The options of a server: those of the command line over those of the config file over `defaults`. What is wrong on the command line ends by
 * `command.error`, with exit code 2; what is wrong in the config file is thrown (`ERR_PORTSIDE_OPTIONS`). Both are told all at once.
 */
export async function gatherOptions(command: Command, io: CommandIo, how: GatherHow = {}): Promise<Gathered> {
  const { defaults = {}, parallel = false } = how;
  const { config: named, tlsSelfSigned, watch = false } = command.opts<CommandFlags>();
  const selfSigned = tlsSelfSigned === '' ? true : (tlsSelfSigned ?? false);
  const groups = parallel ? [...serverFlags, workerFlags] : serverFlags;
  const given = givenFlags(command, groups);
  checkEndpoints(command, given);
  // What is wrong with a config file is told as the command line says.
  await openCommandLog(command, logSettings(layerOf(given)), io);
  const config = named === false ? null : await loadConfig(named, process.cwd());
  const merged = mergeOptions([defaults, config?.options, flagLayer(given, config, selfSigned !== false)], INSTEAD);
  // It is the user's own, and the same object for him and for his handlers.
  const context = config?.options['context'];
  if (context !== undefined) merged['context'] = context;
  checkSense(command, merged, given, config, selfSigned);
  // The code of the main thread can't be exchanged.
  if (watch) merged['workers'] ??= 1;
  checkWorkers(command, merged, given);
  // The host of the config file goes with the port that endpoints on the command line stand instead of.
  if (given.has('listen')) delete merged['host'];
  onLoopback(merged);
  const problems = [...ownProblems(config), ...adminProblems(merged, given)];
  const admin = adminFlags(merged, given, config?.name ?? null, (text) => wrongUsage(command, text));
  const log = await openCommandLog(command, logSettings(merged), io);
  merged['logger'] = log.logger;
  merged['log'] = log.verbose;
  try {
    const { options, workers } = parted(check(configTable, merged), parallel);
    if (workers !== null) check(parallelTable, parallelOptions(options, workers, config));
    if (problems.length === 0) return { options, config, selfSigned, workers, watch, admin, log };
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error;
    problems.push(...error.problems);
  }
  const { text, usage } = tellProblems(problems, { groups, given, merged, config: config?.name ?? null });
  if (usage) wrongUsage(command, text);
  throw new PortsideError('ERR_PORTSIDE_OPTIONS', text);
}

/** Ends with exit code 2, and how to get help. */
export function wrongUsage(command: Command, text: string): never {
  return command.error(`error: ${text}`, { exitCode: 2 });
}

/** Endpoints are told in the parser's own words, before anything is loaded. */
function checkEndpoints(command: Command, given: GivenFlags): void {
  const places: (readonly [EndpointLike, string])[] = [];
  const port = given.get('port');
  if (port !== undefined) {
    const host = given.get('host')?.value as string | undefined;
    places.push([{ port: port.value as string, host }, port.flag]);
  }
  const listen = given.get('listen');
  for (const endpoint of (listen?.value ?? []) as readonly string[]) places.push([endpoint, '--endpoint']);
  const shutdown = given.get('shutdown');
  if (shutdown !== undefined) places.push([shutdown.value as string, shutdown.flag]);
  const admin = given.get('admin');
  // --no-admin is false.
  if (typeof admin?.value === 'string') places.push([admin.value, admin.flag]);
  for (const [place, flag] of places) checkEndpoint(command, place, flag);
}

function checkEndpoint(command: Command, place: EndpointLike, flag: string): void {
  try {
    parseEndpoint(place, 'server', flag);
  } catch (error) {
    if (isPortsideError(error)) wrongUsage(command, error.message);
    throw error;
  }
}

/** The options that the flags give, in the form that the server takes. */
function flagLayer(given: GivenFlags, config: LoadedConfig | null, selfSigned: boolean): Layer {
  const layer = layerOf(given);
  const { port, host, listen } = layer;
  // A port beside endpoints is one more of them.
  if (port !== undefined && Array.isArray(listen)) {
    delete layer['port'];
    delete layer['host'];
    layer['listen'] = [{ port, host: host ?? config?.options['host'] }, ...(listen as readonly unknown[])];
  }
  if (!selfSigned) return layer;
  const tls = typeof layer['tls'] === 'object' ? layer['tls'] : {};
  return { ...layer, tls: { ...tls, cert: PENDING, key: PENDING } };
}

/** Flags that say how workers are, where there are none. */
function checkWorkers(command: Command, merged: Layer, given: GivenFlags): void {
  if (merged['workers'] !== undefined) return;
  const idle = [...given].filter(([option]) => WORKERS.includes(option)).map(([, { flag }]) => flag);
  if (idle.length === 0) return;
  wrongUsage(command, `${idle.join(', ')} ${idle.length === 1 ? 'needs' : 'need'} --workers: a number, or cores`);
}

/** What is said of workers apart from the rest. */
function parted(all: ServerOptions<never> & WorkersConfig, parallel: boolean): Pick<Gathered, 'options' | 'workers'> {
  const entries = Object.entries(all);
  const own = entries.filter(([name]) => ![...WORKERS, ...LOG, ...ADMIN_OPTIONS].includes(name));
  const options = Object.fromEntries(own) as ServerOptions;
  if (!parallel || all.workers === undefined) return { options, workers: null };
  return { options, workers: Object.fromEntries(entries.filter(([name]) => WORKERS.includes(name))) };
}

const CERTIFICATE = 'a certificate: give --tls-cert and --tls-key, or --tls-self-signed';

/** What the table of the server can't know, or would say in words that don't help here. */
function checkSense(
  command: Command,
  merged: Layer,
  given: GivenFlags,
  config: LoadedConfig | null,
  selfSigned: string | boolean,
): void {
  const { listen, endpoint, port, path, fd } = merged;
  if ([listen, endpoint, port, path, fd].every((way) => way === undefined)) {
    const or = config === null ? '; or give it in portside.config.ts' : `, or port or listen in ${config.name}`;
    wrongUsage(command, `say where to listen: --port or --endpoint${or}`);
  }
  if (given.has('host') && port === undefined && !given.has('port'))
    wrongUsage(command, '--host goes with --port; an endpoint names its own host');
  const [first] = [...given].filter(([option]) => option.startsWith('tls.'));
  const tls = merged['tls'] as Layer | undefined;
  if (first !== undefined && tls?.['cert'] === undefined && tls?.['key'] === undefined)
    wrongUsage(command, `${first[1].flag} needs ${CERTIFICATE}`);
  const secure = ((given.get('listen')?.value ?? []) as readonly string[]).find((text) => /^tls:/iu.test(text));
  if (secure !== undefined && tls === undefined) wrongUsage(command, `--endpoint ${secure} needs ${CERTIFICATE}`);
  if (selfSigned === true && tls?.['watch'] === true && given.has('tls.watch'))
    wrongUsage(command, '--tls-watch needs files to watch; name a folder: --tls-self-signed <folder>');
}

/** A port without a host is on loopback. An endpoint says for itself where it is. */
function onLoopback(merged: Record<string, unknown>): void {
  const { port, host = LOOPBACK, listen } = merged;
  if (port !== undefined) merged['host'] = host;
  if (listen === undefined) return;
  merged['listen'] = Array.isArray(listen) ? listen.map((one: unknown) => homely(one, host)) : homely(listen, host);
}

const LOOPBACK = '127.0.0.1';

/** A place of `listen` that has a port has a host as well. */
function homely(place: unknown, host: unknown): unknown {
  if (typeof place !== 'object' || place === null || 'kind' in place || 'family' in place) return place;
  return 'port' in place && (place as Layer)['host'] === undefined ? { ...place, host } : place;
}

/** A config file that has options which it may not have, though servers do. */
function ownProblems(config: LoadedConfig | null): readonly Problem[] {
  const message = 'is not an option of a config file; it is for servers that a program makes';
  return OWN.filter((name) => config?.options[name] !== undefined).map((path) => ({ path, message }));
}
