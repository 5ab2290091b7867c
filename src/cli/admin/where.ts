import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../durations.ts';

/** Which connections are meant, as the admin endpoint takes it. */
export interface Where {
  peer?: string[];
  worker?: number;
  doing?: string[];
  minAge?: number;
  minQueued?: number;
}

const DOING = ['opening', 'busy', 'idle', 'closing'];
const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1_024, m: 1_048_576, g: 1_073_741_824 };

/** Reads `peer=10.0.0.0/8,doing=idle,minAge=60s`; `peer` and `doing` may come several times. */
export function parseWhere(text: string, before: Where = {}): Where {
  const where: Where = { ...before };
  for (const part of text.split(',')) {
    const [, name = '', value = ''] = /^\s*(\w+)=(.+?)\s*$/u.exec(part) ?? [];
    switch (name) {
      case 'peer':
        where.peer = [...(where.peer ?? []), value];
        break;
      case 'doing':
        if (!DOING.includes(value)) throw wrong(`doing can be ${DOING.join(', ')}, got ${value}.`);
        where.doing = [...(where.doing ?? []), value];
        break;
      case 'worker':
        if (!/^\d{1,4}$/u.test(value)) throw wrong('worker has to be the index of a worker.');
        where.worker = Number(value);
        break;
      case 'minAge': {
        const time = parseDuration(value);
        if (!time.ok) throw wrong(`minAge: ${time.message}`);
        where.minAge = time.ms;
        break;
      }
      case 'minQueued': {
        const [, digits = '', unit = ''] = /^(\d{1,12})([kmg]?)$/iu.exec(value) ?? [];
        if (digits === '') throw wrong('minQueued has to be bytes, as in 65536 or 64k.');
        where.minQueued = Number(digits) * (UNITS[unit.toLowerCase()] ?? 1);
        break;
      }
      default:
        throw wrong(
          'It has to be like peer=10.0.0.0/8,doing=idle,minAge=60s; there are peer, worker, doing, minAge and minQueued.',
        );
    }
  }
  return where;
}

/** The parameters of a URL that mean the same. */
export function whereParameters(where: Where): URLSearchParams {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(where))
    parameters.set(name, Array.isArray(value) ? value.join(',') : String(value));
  return parameters;
}

function wrong(message: string): InvalidArgumentError {
  return new InvalidArgumentError(message);
}
