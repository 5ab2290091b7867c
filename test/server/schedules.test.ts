import { describe } from 'node:test';
import { testSchedules } from '../support/schedules.ts';
import { Schedule } from './schedule.ts';

const FIRST = Number(process.env['PORTSIDE_FIRST'] ?? 1);
const COUNT = Number(process.env['PORTSIDE_COUNT'] ?? 6_000);

/** What has to come about often enough; where everything goes well, or nothing does, nothing was tested. */
const OUTCOMES = [
  'no connection',
  'answered',
  'honest ended',
  'honest failed',
  'halves ended',
  'stalls ended',
  'resets left',
  'floods ended',
  'finished',
  'idle',
  'forced',
  'failed',
  'detached',
] as const;

/** A schedule whose ledger is looked at too. */
class LedgeredSchedule extends Schedule {
  override async run(): Promise<void> {
    await super.run();
    await this.ledger();
  }
}

describe('a server on a network on which things go wrong', () => {
  testSchedules((seed) => new LedgeredSchedule(seed), {
    first: FIRST,
    count: COUNT,
    again: [1, 2, 3, 5, 8, 13, 21, 34, 55, 89],
    outcomes: OUTCOMES,
    enough: 3_000,
  });
});
