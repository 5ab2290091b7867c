import type { AuditEntry } from '../audit.ts';
import { byId, make, show, write } from './dom.ts';
import { clockText } from './format.ts';

/** How many are shown. */
const MOST_SHOWN = 200;

/** How much something matters. */
type Mood = 'good' | 'warn' | 'bad' | '';

/** What happened, the latest first: actions by whomever, errors, what became of workers and of the server. */
export class Activity {
  readonly #list = byId('activity');
  #restored = '';

  /** What was done before the page was opened, or while the server was out of reach. */
  restore(entries: readonly AuditEntry[]): void {
    const fresh = entries.filter((entry) => keyOfEntry(entry) > this.#restored);
    for (const entry of fresh.slice(-MOST_SHOWN)) this.#audit(entry);
  }

  /** Something happened to the server. */
  happened(event: string, data: Readonly<Record<string, unknown>>): void {
    const more = data['more'];
    if (typeof more === 'number') this.note(Date.now(), `${more} more of the kind ${event}`, 'warn');
    else if (event === 'audit') this.#audit(data as unknown as AuditEntry);
    else if (event === 'state')
      this.note(Date.now(), `The server is ${words(data['state'])} (it was ${words(data['before'])})`, '');
    else if (event === 'error' || event === 'trouble') {
      const what = event === 'error' ? 'A handler failed' : 'Accepting is in trouble';
      const where = typeof data['worker'] === 'number' ? ` in worker #${data['worker']}` : '';
      this.note(Date.now(), `${what}${where}: ${words(data['message'])}`, 'bad');
    } else if (event === 'worker') {
      const detail = data['detail'] === null ? '' : `: ${words(data['detail'])}`;
      const mood = data['what'] === 'died' ? 'bad' : '';
      this.note(Date.now(), `Worker #${words(data['worker'])} ${words(data['what'])}${detail}`, mood);
    }
  }

  /** Writes down one thing. */
  note(at: number, text: string, mood: Mood): void {
    const time = make('time', { datetime: new Date(at).toISOString() }, clockText(at));
    this.#list.prepend(make('li', { 'data-mood': mood }, time, make('span', {}, text)));
    while (this.#list.childElementCount > MOST_SHOWN) this.#list.lastElementChild?.remove();
    show(byId('no-activity'), false);
    write(byId('activity-note'), 'the latest first');
  }

  #audit(entry: AuditEntry): void {
    const key = keyOfEntry(entry);
    if (key > this.#restored) this.#restored = key;
    const { at, action, peer, result, told } = entry;
    this.note(
      at,
      `${action} by ${peer} ${result === 'done' ? '' : 'was refused'}: ${told}`.replace(' :', ':'),
      result === 'done' ? 'good' : 'warn',
    );
  }
}

/** In the order of time, as texts are compared. */
function keyOfEntry({ at, action, peer }: AuditEntry): string {
  return `${String(at).padStart(18, '0')} ${peer} ${action}`;
}

function words(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}
