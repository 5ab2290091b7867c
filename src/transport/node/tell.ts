import { rethrowSoon } from '../../sync/rethrow.ts';
import type { ChannelEnd, Sink } from '../contract.ts';
import { plain } from './plain.ts';

// What a sink is told. One that throws stops nobody who happens to be on the stack.

export function tellData(sink: Sink, bytes: Uint8Array): void {
  try {
    sink.data(plain(bytes), false);
  } catch (error) {
    rethrowSoon(error);
  }
}

export function tellEnd(sink: Sink): void {
  try {
    sink.end();
  } catch (error) {
    rethrowSoon(error);
  }
}

export function tellWritable(sink: Sink): void {
  try {
    sink.writable();
  } catch (error) {
    rethrowSoon(error);
  }
}

export function tellClose(sink: Sink, end: ChannelEnd): void {
  try {
    sink.close(end);
  } catch (error) {
    rethrowSoon(error);
  }
}
