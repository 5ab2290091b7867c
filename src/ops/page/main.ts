import type { StatusJson, TickJson } from '../admin-status.ts';
import { Actions } from './actions.ts';
import { Activity } from './activity.ts';
import { Api } from './api.ts';
import { Charts } from './charts.ts';
import { say } from './dialog.ts';
import { byId, show, write } from './dom.ts';
import { Head } from './head.ts';
import { LimitsForm } from './limits.ts';
import { Live } from './live.ts';
import { Ledger, Reasons, Workers } from './panels.ts';
import { Samples } from './samples.ts';
import { ConnectionTable } from './table.ts';
import { themed } from './theme.ts';
import { Tiles } from './tiles.ts';

/** Samples with which a server is so young that a minute shows all of them. */
const YOUNG = 60;

const api = new Api();
const samples = new Samples();
const head = new Head();
const actionButtons = new Actions(api);
const tileRow = new Tiles();
const charts = new Charts();
const workerList = new Workers();
const reasonTables = new Reasons();
const ledger = new Ledger();
const connectionTable = new ConnectionTable(api);
const limitsForm = new LimitsForm(api);
const activity = new Activity();
let latest: TickJson | null = null;
let known: Pick<StatusJson, 'pid' | 'uptime'> | null = null;
let paused = false;
let ticks = 0;

const live = new Live(api, {
  opened: (status, history, audit) => {
    const again = known !== null;
    if (known !== null && (known.pid !== status.pid || known.uptime > status.uptime)) {
      activity.note(Date.now(), `The server was started anew: process ${status.pid}`, 'warn');
      connectionTable.deselect();
      say('The server was started anew.');
    } else if (again) say('The server is back.');
    known = status;
    samples.restore(history);
    if (!again && samples.all.length < YOUNG) byId('range').querySelector('input')?.click();
    charts.parallel = status.parallel;
    head.link('live');
    head.opened(status);
    show(byId('sign-in'), false);
    show(byId('main'), true);
    show(byId('forget'), api.hasToken);
    actionButtons.opened(status);
    limitsForm.show(status.limits);
    activity.restore(audit);
    latest = status;
    ticks = 0;
    draw(status, true);
  },

  ticked: (tick) => {
    samples.add(tick);
    if (known !== null) known = { ...known, uptime: tick.uptime };
    latest = tick;
    head.ticked(tick);
    actionButtons.ticked(tick);
    draw(tick, false);
    ticks += 1;
  },

  happened: (event, data) => {
    activity.happened(event, data);
    if (event === 'drain' && latest !== null) {
      latest = { ...latest, drain: data as unknown as TickJson['drain'] };
      ledger.show(latest);
    }
    if (event === 'state') changed(data['state'] as TickJson['state']);
    if (event === 'audit' && data['action'] === 'limits') void readLimits();
    if (event === 'audit' && data['action'] === 'connections/close') void connectionTable.refresh();
  },

  lost: (why, again) => head.lost(why, again),

  locked: (wrong) => {
    if (wrong) api.use(null);
    head.link('locked');
    show(byId('main'), false);
    show(byId('facts'), false);
    show(byId('forget'), false);
    show(byId('sign-in'), true);
    document.title = 'Portside';
    write(byId('state-text'), 'Locked');
    write(byId('name'), 'Portside');
    write(byId('sign-in-error'), wrong ? 'That is not the token.' : '');
    byId('token').focus();
  },
});

/** In how many ticks the table is asked for anew: the more connections the server has to look at, the more seldom. */
function seldomness(active: number): number {
  return active > 20_000 ? 10 : active > 2_000 ? 5 : active > 200 ? 2 : 1;
}

/** Shows a state at once; all else comes with the next tick. */
function changed(state: TickJson['state']): void {
  say(`The server is ${state}.`);
  if (latest === null) return;
  latest = { ...latest, state, ready: state === 'running' };
  head.ticked(latest);
  actionButtons.ticked(latest);
  ledger.show(latest);
}

/** Shows a moment; when the page is paused, only what an operator must not miss goes on. */
function draw(tick: TickJson, first: boolean): void {
  ledger.show(tick);
  if ((paused || document.hidden) && !first) return;
  const sample = samples.latest;
  if (sample !== null) tileRow.show(tick, sample);
  charts.show(samples);
  workerList.show(tick);
  reasonTables.show(tick);
  connectionTable.workers(tick.workers.map(({ index }) => index));
  if (first || ticks % seldomness(tick.active) === 0) void connectionTable.refresh();
}

async function readLimits(): Promise<void> {
  try {
    limitsForm.show((await api.get<Pick<StatusJson, 'limits'>>('/api/limits')).limits);
  } catch {
    // Whoever is gone is told of by the stream, and comes with all of it again.
  }
}

byId('retry').addEventListener('click', () => live.hurry());
byId('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  const field = byId<HTMLInputElement>('token');
  api.use(field.value.trim());
  field.value = '';
  write(byId('sign-in-error'), '');
  live.hurry();
});
byId('forget').addEventListener('click', () => {
  api.use(null);
  location.reload();
});
byId('pause').addEventListener('click', () => {
  paused = !paused;
  byId('pause').setAttribute('aria-pressed', String(paused));
  document.body.toggleAttribute('data-paused', paused);
  if (!paused && latest !== null) draw(latest, true);
});
for (const input of byId('range').querySelectorAll('input'))
  input.addEventListener('change', () => {
    charts.reach(Number(input.value));
    charts.show(samples);
  });
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && latest !== null) draw(latest, !paused);
});
themed(() => charts.repaint());
void live.run();
