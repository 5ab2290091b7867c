import type { StatusJson, TickJson } from '../admin-status.ts';
import type { Api } from './api.ts';
import { ask, field } from './dialog.ts';
import type { Question } from './dialog.ts';
import { byId, enable, make, show } from './dom.ts';
import { many, readTime, timeText } from './format.ts';

type State = TickJson['state'];

/** A button of the page, and when there is anything to do for it. */
interface Act {
  readonly text: string;
  readonly danger?: boolean;
  /** What the server has to be for it, once and for all. */
  readonly needs?: 'parallel' | 'upgradable';
  readonly states: readonly State[];
  ask(): void;
}

/** The actions on the server as a whole. */
export class Actions {
  readonly #api: Api;
  readonly #buttons: readonly { readonly act: Act; readonly button: HTMLButtonElement }[];
  #status: StatusJson | null = null;
  #now: TickJson | null = null;

  constructor(api: Api) {
    this.#api = api;
    const acts: readonly Act[] = [
      { text: 'Suspend…', states: ['running'], ask: () => this.#suspend() },
      { text: 'Resume…', states: ['suspended'], ask: () => this.#resume() },
      { text: 'Reload…', states: ['running', 'suspended'], needs: 'parallel', ask: () => this.#reload() },
      { text: 'Resize…', states: ['running', 'suspended'], needs: 'parallel', ask: () => this.#resize() },
      { text: 'Certificates…', states: ['running', 'suspended', 'draining'], ask: () => this.#certificates() },
      { text: 'Upgrade…', states: ['running', 'suspended'], needs: 'upgradable', ask: () => this.#upgrade() },
      { text: 'Drain…', states: ['running', 'suspended'], danger: true, ask: () => this.#drain() },
      { text: 'Stop…', states: ['running', 'suspended', 'draining'], danger: true, ask: () => this.#stop() },
    ];
    this.#buttons = acts.map((act) => {
      const button = make('button', { type: 'button', class: act.danger === true ? 'risky' : '' }, act.text);
      button.addEventListener('click', () => act.ask());
      return { act, button };
    });
    byId('actions').append(...this.#buttons.map(({ button }) => button));
  }

  opened(status: StatusJson): void {
    this.#status = status;
    this.ticked(status);
  }

  ticked(tick: TickJson): void {
    this.#now = tick;
    const { state } = tick;
    const suspended = state === 'suspended';
    for (const { act, button } of this.#buttons) {
      const fits = act.states.includes(state);
      // The place of one is the other's.
      if (act.text === 'Suspend…') show(button, !suspended);
      else if (act.text === 'Resume…') show(button, suspended);
      else show(button, act.needs === undefined || this.#status?.[act.needs] === true);
      enable(button, fits);
    }
  }

  /** Asks for an action that needs nothing to be filled in. */
  #plain<T>(action: string, question: Omit<Question, 'run'>, told: (answer: T) => string): void {
    ask({ ...question, run: async () => told(await this.#api.act<T>(action)) });
  }

  #suspend(): void {
    const text =
      'It accepts nobody until it is resumed, and load balancers see that it is not ready. Connections stay, and are served.';
    this.#plain(
      'suspend',
      { title: 'Suspend the server?', text, confirm: 'Suspend' },
      () => 'The server is suspended.',
    );
  }

  #resume(): void {
    const text = 'It accepts again, those first who have waited.';
    this.#plain('resume', { title: 'Resume the server?', text, confirm: 'Resume' }, () => 'The server is running.');
  }

  #drain(): void {
    const limits = this.#status?.limits;
    const lead = timeField('lead', limits?.lead ?? 0);
    const grace = timeField('grace', limits?.grace ?? null);
    const spread = timeField('spread', limits?.spread ?? 0);
    ask({
      title: 'Drain the server?',
      text: `It comes to its end and can’t be brought back: ${many(this.#now?.active ?? 0, 'connection')} may finish, then the rest is ended and the server stops.`,
      fields: [
        field('Lead', lead, 'It is not ready at once, and still accepts for so long'),
        field('Grace', grace, 'Connections have so long to finish; none is without limit'),
        field('Spread', spread, 'Idle connections are closed over so long, not all at once'),
      ],
      confirm: 'Drain',
      danger: true,
      run: async () => {
        await this.#api.act('drain', { lead: timeOf(lead), grace: timeOf(grace), spread: timeOf(spread) });
        return 'The drain has begun.';
      },
    });
  }

  #stop(): void {
    const grace = timeField('grace', this.#status?.limits.grace ?? null);
    ask({
      title: 'Stop the server?',
      text: `It accepts nobody from now on and can’t be brought back. ${many(this.#now?.active ?? 0, 'connection')} may finish within the grace.`,
      fields: [field('Grace', grace, 'Connections have so long to finish; 0s ends them at once')],
      confirm: 'Stop',
      danger: true,
      run: async () => {
        await this.#api.act('stop', { grace: timeOf(grace) });
        return 'The server stops.';
      },
    });
  }

  #reload(): void {
    const text =
      'New workers are started on the code as it is now; when they serve, the old ones finish what they have and leave.';
    this.#plain<{ workers: number; seamless: boolean; why: string | null }>(
      'reload',
      { title: 'Reload all workers?', text, confirm: 'Reload' },
      ({ workers, seamless, why }) =>
        `${nowServe(workers, 'new worker')}${seamless ? '' : ` Not without a seam: ${why ?? 'unknown'}.`}`,
    );
  }

  #resize(): void {
    const serving = this.#now?.workers.filter(({ state }) => state === 'serving').length ?? 1;
    const count = make('input', { name: 'workers', type: 'number', min: '1', max: '1024', value: String(serving) });
    ask({
      title: 'How many workers?',
      text: `There are ${serving} now. Those that leave finish what they have.`,
      fields: [field('Workers', count)],
      confirm: 'Resize',
      run: async () => {
        const { workers } = await this.#api.act<{ workers: number }>('resize', { workers: Number(count.value) });
        return nowServe(workers, 'worker');
      },
    });
  }

  #upgrade(): void {
    const text =
      'A new version is started with the same sockets; when it is ready, this one drains. If it is not, this one goes on.';
    this.#plain<{ pid: number }>(
      'upgrade',
      { title: 'Upgrade the server?', text, confirm: 'Upgrade' },
      ({ pid }) => `Process ${pid} serves now.`,
    );
  }

  #certificates(): void {
    const text = 'They are read anew from their files. Connections that are open keep those that they began with.';
    this.#plain(
      'tls/reload',
      { title: 'Reload certificates?', text, confirm: 'Reload' },
      () => 'Certificates were read anew.',
    );
  }
}

function nowServe(workers: number, what: string): string {
  return `${many(workers, what)} ${workers === 1 ? 'serves' : 'serve'}.`;
}

function timeField(name: string, value: number | null): HTMLInputElement {
  return make('input', { name, value: timeText(value), autocomplete: 'off', size: '10' });
}

/** What is no time is left for the server to refuse. */
function timeOf({ value }: HTMLInputElement): number | string | null {
  const text = value.trim();
  return text === 'none' ? null : (readTime(text) ?? text);
}
