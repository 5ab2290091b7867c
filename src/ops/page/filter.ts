import { byId, make, write } from './dom.ts';
import { many, readSize, readTime, timeText } from './format.ts';

/** Which connections are meant, as the server takes it. */
export interface Where {
  readonly peer?: readonly string[];
  readonly doing?: readonly string[];
  readonly worker?: number;
  readonly minAge?: number;
  readonly minQueued?: number;
}

/** Milliseconds of quiet after which what is typed counts. */
const QUIET = 300;

/** The filter above the table of connections. */
export class Filter {
  readonly #form = byId<HTMLFormElement>('filters');
  #where: Where = {};
  #problem = '';
  #typing: ReturnType<typeof setTimeout> | undefined;

  /** `changed`: others are meant now. */
  constructor(changed: () => void) {
    const read = (): void => {
      clearTimeout(this.#typing);
      if (this.#read()) changed();
    };
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      read();
    });
    this.#form.addEventListener('input', (event) => {
      if (!(event.target instanceof HTMLInputElement) || event.target.name === '') return;
      clearTimeout(this.#typing);
      this.#typing = setTimeout(read, QUIET);
    });
    this.#form.addEventListener('change', (event) => {
      if (event.target instanceof HTMLSelectElement && event.target.name === '') return;
      read();
    });
    // The fields are empty in the next turn.
    this.#form.addEventListener('reset', () => setTimeout(read));
  }

  get where(): Where {
    return this.#where;
  }

  /** Whether anything is asked for. */
  get used(): boolean {
    return Object.keys(this.#where).length > 0;
  }

  /** In words. */
  get text(): string {
    const { peer, doing, worker, minAge, minQueued } = this.#where;
    const parts = [
      peer === undefined ? '' : `peer ${peer.join(' or ')}`,
      doing === undefined ? '' : `doing ${doing.join(' or ')}`,
      worker === undefined ? '' : `worker #${worker}`,
      minAge === undefined ? '' : `older than ${timeText(minAge)}`,
      minQueued === undefined ? '' : `queued over ${many(minQueued, 'byte')}`,
    ];
    return parts.filter((part) => part !== '').join(', ');
  }

  /** What is wrong with it, by the server; what can't be meant at all comes before that. */
  wrong(text: string): void {
    write(byId('filter-error'), this.#problem === '' ? text : this.#problem);
  }

  /** Lets one of so many workers be chosen. */
  workers(indexes: readonly number[]): void {
    const place = byId('worker-filter');
    const select = place.querySelector('select');
    if (select === null || select.options.length === indexes.length + 1) return;
    const { value } = select;
    select.replaceChildren(
      make('option', { value: '' }, 'all'),
      ...indexes.map((index) => make('option', { value: String(index) }, `#${index}`)),
    );
    select.value = indexes.includes(Number(value)) ? value : '';
    place.hidden = indexes.length === 0;
    // The one that was meant is not there any more.
    if (select.value !== value) select.dispatchEvent(new Event('change', { bubbles: true }));
  }

  /** False: what is written there can't be meant. */
  #read(): boolean {
    const data = new FormData(this.#form);
    const text = (name: string): string => {
      const value = data.get(name);
      return typeof value === 'string' ? value.trim() : '';
    };
    const peer = text('peer')
      .split(/[\s,]+/u)
      .filter((part) => part !== '');
    const doing = data.getAll('doing').map(String);
    const [age, queued, worker] = [text('minAge'), text('minQueued'), text('worker')];
    const minAge = age === '' ? undefined : readTime(age);
    const minQueued = queued === '' ? undefined : readSize(queued);
    const problems = [
      age !== '' && minAge === undefined ? 'Older than: a time, as in 30s, 5m or 2h.' : '',
      queued !== '' && minQueued === undefined ? 'Queued over: a size, as in 512, 64k or 1M.' : '',
    ].filter((problem) => problem !== '');
    this.#problem = problems.join(' ');
    this.wrong('');
    if (problems.length > 0) return false;
    this.#where = {
      ...(peer.length > 0 ? { peer } : {}),
      ...(doing.length > 0 && doing.length < 4 ? { doing } : {}),
      ...(worker === '' ? {} : { worker: Number(worker) }),
      ...(minAge === undefined ? {} : { minAge }),
      ...(minQueued === undefined ? {} : { minQueued }),
    };
    return true;
  }
}

/** `3 of 148 connections` */
export function matchedText(matched: number, total: number): string {
  return matched === total ? many(total, 'connection') : `${matched} of ${many(total, 'connection')}`;
}
