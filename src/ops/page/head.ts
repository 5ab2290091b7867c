import type { StatusJson, TickJson } from '../admin-status.ts';
import { byId, make, show, write } from './dom.ts';
import { clockText, spanText } from './format.ts';

/** Whether the server can be heard. */
export type Link = 'connecting' | 'live' | 'lost' | 'locked';

const LINKS: Readonly<Record<Link, string>> = {
  connecting: 'connecting',
  live: 'live',
  lost: 'silent',
  locked: '',
};

/** The top of the page: what the server is, how it does, and whether it can be heard. */
export class Head {
  readonly #uptime = make('dd');
  /** When it was heard last. */
  #heard: number | null = null;
  #countdown: ReturnType<typeof setInterval> | undefined;

  link(link: Link): void {
    document.body.dataset['link'] = link;
    write(byId('link-text'), LINKS[link]);
    if (link === 'live' || link === 'locked') this.calm();
    if (link === 'lost') write(byId('state-text'), 'Out of reach');
    if (link !== 'live') byId('state').dataset['state'] = 'unknown';
  }

  /** What never changes while it runs. */
  opened(status: StatusJson): void {
    const { name, addresses, pid, version, node, transport, parallel, workers, shutdownAddress } = status;
    write(byId('name'), name);
    const facts: readonly (readonly [string, string | HTMLElement])[] = [
      ['listening on', addresses.join(', ') || 'nothing'],
      ...(shutdownAddress === null ? [] : [['shutdown port', shutdownAddress] as const]),
      ['up', this.#uptime],
      ['threads', parallel ? `${workers.length} workers` : 'one'],
      ['transport', transport],
      ['pid', String(pid)],
      ['Portside', version],
      ['Node', node],
    ];
    const rows = facts.map(([term, value]) =>
      make('div', {}, make('dt', {}, term), typeof value === 'string' ? make('dd', {}, value) : value),
    );
    byId('facts').replaceChildren(...rows);
    show(byId('facts'), true);
    this.ticked(status);
  }

  ticked({ state, ready, uptime, active }: Pick<TickJson, 'state' | 'ready' | 'uptime' | 'active'>): void {
    this.#heard = Date.now();
    const place = byId('state');
    place.dataset['state'] = state;
    const text = `${state.slice(0, 1).toUpperCase()}${state.slice(1)}`;
    write(byId('state-text'), ready ? `${text}, ready` : state === 'stopped' ? text : `${text}, not ready`);
    write(this.#uptime, spanText(uptime));
    const title = `${active} · ${byId('name').textContent} · ${state}`;
    if (document.title !== title) document.title = title;
  }

  /** Says that the server is gone, and when it is tried again. */
  lost(why: string, again: number): void {
    this.link('lost');
    document.title = `gone · ${byId('name').textContent}`;
    if (this.#heard !== null) write(byId('link-text'), `last heard at ${clockText(this.#heard)}`);
    const at = Date.now() + again;
    const tell = (): void => {
      const left = Math.ceil((at - Date.now()) / 1_000);
      write(byId('retry'), left > 0 ? `Try now (${left} s)` : 'Trying…');
    };
    clearInterval(this.#countdown);
    this.#countdown = setInterval(tell, 1_000);
    tell();
    const known = byId('name').textContent !== 'Portside' || !byId('main').hidden;
    write(byId('banner-text'), `${capital(why)}. ${known ? 'What is shown is what was known last.' : ''}`);
    show(byId('retry'), true);
    show(byId('banner'), true);
  }

  /** There is nothing to be said. */
  calm(): void {
    clearInterval(this.#countdown);
    show(byId('banner'), false);
    show(byId('retry'), false);
  }
}

function capital(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}
