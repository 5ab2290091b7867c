import { PortsideError } from '../base/errors.ts';

/** What is wrong with a topic, or with how a record or capture is declared. */
export function wrongTopic(message: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_TOPIC', message, { op: 'topic' });
}

/** A topic that is larger or deeper than a limit allows. */
export function overTopicLimit(message: string): PortsideError {
  return new PortsideError('ERR_PORTSIDE_LIMIT', message, { op: 'topic' });
}
