import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import type { ConnectionPageJson, LimitsJson, StatusJson } from '../../ops/admin-status.ts';
import type { AuditEntry } from '../../ops/audit.ts';
import type { Upgraded } from '../../ops/subject.ts';
import { count, duration, oneOfWords } from '../flag-values.ts';
import { addFlags, givenFlags, layerOf } from '../flag.ts';
import type { FlagGroup } from '../flag.ts';
import { wrongUsage } from '../gather-options.ts';
import type { CommandIo } from '../io.ts';
import { counted } from '../notices.ts';
import { serverFlags } from '../server-flags.ts';
import { askingCommand } from './asking.ts';
import type { Asking } from './asking.ts';
import { endAndWait } from './end-and-wait.ts';
import { auditReport, connectionsReport, limitsReport, statusReport } from './reports.ts';
import { parseWhere, whereParameters } from './where.ts';
import type { Where } from './where.ts';

const EXAMPLES = `
Examples:
  portside connections --where 'peer=10.0.0.0/8,doing=idle,minAge=60s'
  portside connections --sort queued --limit 10
  portside connections --where doing=idle,minAge=1h --close
  portside connections 12 17 --reset
  portside connections 0/12 --close        worker 0's, where there are workers`;

interface State {
  readonly state: string;
  readonly ready: boolean;
}

const stateLine = ({ state, ready }: State): string => `the server is ${state}${ready ? '' : ', not ready'}\n`;

/** Adds the commands that look at a server by its admin endpoint, and act on it. */
export function adminCommands(program: Command, io: CommandIo, exit: (code: number) => void): void {
  const add = (name: string, what: string, run: (asking: Asking, args: readonly string[]) => Promise<void>): Command =>
    askingCommand(program, name, what, io, exit, run);

  add('status', 'what a server does, and did so far', async ({ client, show }) => {
    show(await client.get<StatusJson>('/api/status'), statusReport);
  });
  for (const [name, what] of [
    ['suspend', 'stop accepting for now; clients wait, and connections go on'],
    ['resume', 'go on accepting'],
  ] as const) {
    add(name, what, async ({ client, show }) => {
      show(await client.post<State>(`/api/${name}`), stateLine);
    });
  }
  endCommands(add);
  const reload = add('reload', 'take up new code and certificates: exchange all workers', async (asking) => {
    const { client, show, command } = asking;
    if (command.opts<{ tls?: true }>().tls === true) {
      show(await client.post<{ reloaded: true }>('/api/tls/reload'), () => 'certificates were read anew\n');
      return;
    }
    const answer = await client.post<{ workers: number; why: string | null }>('/api/reload', {}, undefined, Infinity);
    show(answer, ({ workers, why }) => {
      const partly = why === null ? '' : `; this could not be seamless: ${why}`;
      return `${counted(workers, 'new worker')} ${workers === 1 ? 'serves' : 'serve'}${partly}\n`;
    });
  });
  reload.option('--tls', 'certificates only; also where there are no workers');
  add('upgrade', 'start a new version of the program, which takes over; needs serve --upgradable', async (asking) => {
    const answer = await asking.client.post<Upgraded>('/api/upgrade', {}, undefined, Infinity);
    asking.show(answer, ({ pid, before }) => `process ${pid} serves, process ${before} drains\n`);
  });
  add('resize', 'have so many workers', async ({ client, show }, [text = '']) => {
    const workers = Number(text);
    const answer = await client.post<{ workers: number }>('/api/resize', { workers }, undefined, Infinity);
    show(answer, (now) => `${counted(now.workers, 'worker')} ${now.workers === 1 ? 'serves' : 'serve'}\n`);
  }).argument('<workers>', 'how many', count);
  connectionsCommand(add);
  limitCommand(add);
  add('audit', 'what was done by the admin endpoint', async ({ client, show }) => {
    const answer = await client.get<{ entries: readonly AuditEntry[] }>('/api/audit');
    show(answer, ({ entries }) => auditReport(entries));
  });
}

type Add = (name: string, what: string, run: (asking: Asking, args: readonly string[]) => Promise<void>) => Command;

// ---- the end ----

const WAIT = { flags: '--wait', what: 'tell how it goes, until it is over', option: null } as const;
const GRACE = {
  flags: '--grace <time>',
  what: "that connections have to come to their end, after which they are cut (default: the server's)",
  option: 'grace',
  read: duration({ none: true }),
} as const;

const drainFlags: FlagGroup = {
  heading: 'How:',
  flags: [
    {
      flags: '--lead <time>',
      what: "that it goes on accepting while it is not ready any more (default: the server's)",
      option: 'lead',
      read: duration(),
    },
    GRACE,
    {
      flags: '--spread <time>',
      what: "over which idle connections are closed (default: the server's)",
      option: 'spread',
      read: duration(),
    },
    WAIT,
  ],
};

const stopFlags: FlagGroup = { heading: 'How:', flags: [GRACE, WAIT] };

function endCommands(add: Add): void {
  for (const [name, what, flags] of [
    [
      'drain',
      'bring it to its end: not ready, then no new connections, idle ones closed, the rest in time',
      drainFlags,
    ],
    ['stop', 'the same without a lead; --grace 0 ends all connections at once', stopFlags],
  ] as const) {
    const command = add(name, what, async (asking) => {
      const times = withoutInfinity(layerOf(givenFlags(asking.command, [flags])));
      if (asking.command.opts<{ wait?: true }>().wait === true) return endAndWait(asking, name, times);
      asking.show(await asking.client.post<State>(`/api/${name}`, times), stateLine);
    });
    addFlags(command, [flags]);
  }
}

/** JSON has no infinity; there it is null. */
function withoutInfinity(options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]): [string, unknown] => {
      if (typeof value !== 'object' || value === null || Array.isArray(value))
        return [name, value === Infinity ? null : value];
      return [name, withoutInfinity(value as Readonly<Record<string, unknown>>)];
    }),
  );
}

// ---- limits ----

const CHANGEABLE = /^(maxConnections|whenFull|maxPerClient|rate|allow|deny|deadlines\.\w+|grace|lead|spread)$/u;

/** The flags of `serve` whose options can be changed while it serves. */
const limitFlags: readonly FlagGroup[] = serverFlags
  .map(({ heading, flags }) => ({
    heading,
    flags: flags
      .filter(({ option }) => option !== null && CHANGEABLE.test(option))
      .map((flag) => ({ ...flag, what: flag.what.replace(/ \(default:[^)]*\)$/u, '') })),
  }))
  .filter(({ flags }) => flags.length > 0);

function limitCommand(add: Add): void {
  const command = add('limit', 'show the limits of a server, or change those that are given', async (asking) => {
    const { client, show } = asking;
    const changes = withoutInfinity(layerOf(givenFlags(asking.command, limitFlags)));
    const { limits } =
      Object.keys(changes).length === 0
        ? await client.get<{ limits: LimitsJson }>('/api/limits')
        : await client.post<{ limits: LimitsJson }>('/api/limits', changes);
    show(limits, limitsReport);
  });
  addFlags(command, limitFlags);
}

// ---- connections ----

interface ConnectionsFlags {
  readonly where?: Where;
  readonly sort?: string;
  readonly order?: string;
  readonly limit?: number;
  readonly offset?: number;
  readonly close?: true;
  readonly reset?: true;
}

const connectionFlags: FlagGroup = {
  heading: 'Which connections:',
  flags: [
    {
      flags: '--sort <by>',
      what: 'age, read, written, queued or id (default: age)',
      option: null,
      read: oneOfWords('age', 'read', 'written', 'queued', 'id'),
    },
    { flags: '--order <order>', what: 'desc or asc (default: desc)', option: null, read: oneOfWords('desc', 'asc') },
    { flags: '--limit <n>', what: 'how many are shown, up to 1000 (default: 100)', option: null, read: count },
    { flags: '--offset <n>', what: 'how many are left out before', option: null, read: whole },
    { flags: '--close', what: 'end them in order, all that are meant', option: null, conflicts: ['reset'] },
    { flags: '--reset', what: 'end them by a reset, all that are meant', option: null },
  ],
};

function connectionsCommand(add: Add): void {
  const command = add('connections', 'list connections, or end them', async (asking, names) => {
    const { where, close, reset, sort, order, limit, offset } = asking.command.opts<ConnectionsFlags>();
    const { client, show } = asking;
    if (close === true || reset === true) return endConnections(asking, names, where, reset === true);
    if (names.length > 0) wrongUsage(asking.command, 'connections are named to end them: add --close or --reset');
    const parameters = whereParameters(where ?? {});
    for (const [name, value] of Object.entries({ sort, order, limit, offset }))
      if (value !== undefined) parameters.set(name, String(value));
    const page = await client.get<ConnectionPageJson>(`/api/connections?${parameters.toString()}`);
    show(page, ({ total, matched, connections }) => {
      const parallel = connections.some(({ worker }) => worker !== null);
      const shown = connections.length === matched ? '' : `, ${connections.length} shown`;
      const told = `${matched} of ${counted(total, 'connection')}${shown}\n`;
      return connections.length === 0 ? told : `${connectionsReport(connections, parallel)}${told}`;
    });
    return undefined;
  });
  command.argument('[names...]', 'those to end, by their ids, or worker/id').addHelpText('after', EXAMPLES);
  command.option(
    '--where <conditions>',
    'those for which all hold: peer, worker, doing, minAge, minQueued',
    parseWhere,
  );
  addFlags(command, [connectionFlags]);
}

async function endConnections(
  { client, show, command }: Asking,
  names: readonly string[],
  where: Where | undefined,
  reset: boolean,
): Promise<void> {
  if ((names.length === 0) === (where === undefined))
    wrongUsage(command, 'say which connections to end: by their names, or by --where');
  const ids = names.map((name) => {
    const [, worker, id = ''] = /^(?:(\d{1,4})\/)?(\d{1,12})$/u.exec(name) ?? [];
    if (id === '')
      return wrongUsage(command, `${name} is no connection; they are called like 12, or 0/12 with workers`);
    return { id: Number(id), worker: worker === undefined ? null : Number(worker) };
  });
  const which = where === undefined ? { ids } : { where };
  const how = reset ? 'reset' : 'close';
  const answer = await client.post<{ matched: number; closed: number }>('/api/connections/close', { ...which, how });
  show(answer, ({ matched, closed }) => {
    const others = matched === closed ? '' : `; of ${matched} that were meant the others were gone, or closing`;
    return `${counted(closed, 'connection')} ${reset ? 'reset' : 'closed'}${others}\n`;
  });
}

function whole(text: string): number {
  if (!/^\d{1,9}$/u.test(text)) throw new InvalidArgumentError('It has to be a whole number from 0 on.');
  return Number(text);
}
