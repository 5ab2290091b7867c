import { boolean, byteCount, instance, list, milliseconds, oneOf, that, union } from '../base/options.ts';
import type { Rule } from '../base/options.ts';
import type { Transport } from '../transport/contract.ts';
import { deadlinesRule } from './deadlines.ts';
import type { ConnectionOptions } from './settings.ts';
import type { TransportChoice } from './transports.ts';

/** A rule for each option of an interface, so that table and interface can't part. */
export type FieldsFor<T> = { readonly [K in keyof T]-?: Rule<Exclude<T[K], undefined>> };

/** The rules of {@link ConnectionOptions}, for what takes them too. */
export const settingsFields: FieldsFor<ConnectionOptions> = {
  highWaterMark: byteCount({ min: 1 }),
  writeLimit: byteCount({ min: 1 }),
  readAhead: byteCount({ min: 1 }),
  linger: milliseconds(),
  noDelay: boolean(),
  keepAlive: union(boolean(), milliseconds({ min: 1 })),
  deadlines: deadlinesRule,
};

export const signalRule: Rule<AbortSignal> = instance(AbortSignal, 'an AbortSignal');

export const familiesRule: Rule<readonly ('ipv4' | 'ipv6')[]> = list(oneOf('ipv4', 'ipv6'), { min: 1, max: 2 });

export const transportRule: Rule<TransportChoice> = that<TransportChoice>(
  '"auto", "node", "native" or a transport',
  (value) => {
    if (typeof value === 'string') return value === 'auto' || value === 'node' || value === 'native';
    return typeof value === 'object' && value !== null && typeof (value as Transport).dial === 'function';
  },
);
