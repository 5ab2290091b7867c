/** A reporter of the test runner that writes each failure as a line of JSON: `{ file, name, message }`. */
import type { TestEvent } from 'node:test/reporters';

/** A test that failed. */
export interface Failure {
  readonly file: string;
  readonly name: string;
  readonly message: string;
}

/** Suites that failed because of a test within them are not told: the test is. */
async function* failures(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const { type, data } of events) {
    if (type !== 'test:fail') continue;
    const { error } = data.details;
    if ('failureType' in error && error.failureType === 'subtestsFailed') continue;
    const cause = error.cause instanceof Error ? error.cause : error;
    const failure: Failure = { file: data.file ?? data.name, name: data.name, message: cause.stack ?? cause.message };
    yield `${JSON.stringify(failure)}\n`;
  }
}

// The runner takes a reporter as a default export only.
export default failures;
