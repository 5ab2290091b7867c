import type { TickJson } from '../admin-status.ts';
import { byId, make, show, write } from './dom.ts';
import { bytesText, countText, delayText, many, rateText, shareText } from './format.ts';
import type { Sample } from './samples.ts';

/** One big number: what it is, its value, what else there is to know, and how bad it is. */
interface Tile {
  readonly value: string;
  readonly note: string;
  readonly mood?: 'warn' | 'bad' | undefined;
  /** Of the whole that there may be, from 0 to 1. */
  readonly share?: number | undefined;
}

type Of = (tick: TickJson, sample: Sample) => Tile;

const tiles: readonly (readonly [name: string, of: Of])[] = [
  [
    'Connections',
    ({ active, maxConnections, opening, queued }) => {
      const share = active / maxConnections;
      const more = [
        opening > 0 ? `${countText(opening)} opening` : '',
        queued > 0 ? `${countText(queued)} queued` : '',
      ];
      const note = [`of ${countText(maxConnections)}`, ...more.filter((text) => text !== '')].join(', ');
      return { value: countText(active), note, share, mood: share >= 1 ? 'bad' : share > 0.85 ? 'warn' : undefined };
    },
  ],
  [
    'Accepted',
    ({ accepted }, sample) => ({ value: perSecond(sample.accepted), note: `${countText(accepted)} in all` }),
  ],
  [
    'Refused',
    ({ refused }, sample) => {
      const now = Object.values(sample.refused).reduce((sum, rate) => sum + rate, 0);
      const all = Object.values(refused).reduce((sum, count) => sum + count, 0);
      const value = sample.accepted === null ? '–' : perSecond(now);
      return { value, note: `${countText(all)} in all`, mood: now > 0 ? 'warn' : undefined };
    },
  ],
  [
    'In',
    ({ bytesRead }, sample) => ({ value: bytesPerSecond(sample.bytesRead), note: `${bytesText(bytesRead)} in all` }),
  ],
  [
    'Out',
    ({ bytesWritten }, sample) => ({
      value: bytesPerSecond(sample.bytesWritten),
      note: `${bytesText(bytesWritten)} in all`,
    }),
  ],
  [
    'Loop delay, p99',
    ({ loop }) => ({
      value: delayText(loop.delayP99),
      note: `worst ${delayText(loop.delayMax)}`,
      mood: loop.delayP99 > 250 ? 'bad' : loop.delayP99 > 50 ? 'warn' : undefined,
    }),
  ],
  [
    'CPU',
    ({ workers, loop }, { cpu }) => ({
      value: cpu === null ? '–' : shareText(cpu),
      note:
        workers.length > 0
          ? `busiest worker ${shareText(Math.max(...workers.map(({ utilization }) => utilization)))}`
          : `main thread ${shareText(loop.utilization)}`,
    }),
  ],
  [
    'Errors',
    ({ errors, troubles, restarts }) => {
      const others = [
        troubles > 0 ? `${countText(troubles)} of accepting` : '',
        restarts > 0 ? `${many(restarts, 'worker')} died` : '',
      ].filter((text) => text !== '');
      const note = others.join(', ') || 'of handlers, in all';
      return { value: countText(errors), note, mood: errors + troubles + restarts > 0 ? 'warn' : undefined };
    },
  ],
];

/** The big numbers. */
export class Tiles {
  readonly #places = tiles.map(([name]) => {
    const value = make('dd', { class: 'value' }, '–');
    const note = make('dd', { class: 'note' });
    const meter = make('dd', { class: 'bar', 'aria-hidden': 'true', hidden: true });
    const place = make('dl', { class: 'card tile' }, make('dt', {}, name), value, note, meter);
    return { place, value, note, meter };
  });

  constructor() {
    byId('tiles').append(...this.#places.map(({ place }) => place));
  }

  show(tick: TickJson, sample: Sample): void {
    for (const [index, { place, value, note, meter }] of this.#places.entries()) {
      const [, of] = tiles[index]!;
      const tile = of(tick, sample);
      write(value, tile.value);
      write(note, tile.note);
      place.dataset['mood'] = tile.mood ?? '';
      show(meter, tile.share !== undefined);
      if (tile.share !== undefined) meter.style.setProperty('--share', String(Math.min(1, tile.share)));
    }
  }
}

function perSecond(rate: number | null): string {
  return rate === null ? '–' : `${rateText(rate)} /s`;
}

function bytesPerSecond(rate: number | null): string {
  return rate === null ? '–' : `${bytesText(rate)}/s`;
}
