import { enterNobody, leave } from './ambient.ts';
import { isThenable } from './protocol-consumer.ts';

/**
 * Calls a hook of the user's, and gives its answer. It is nobody's connection's that it runs for: what it prints is not for the client. What it throws, or rejects with,
 * goes to `failed`.
 */
export function callHook(hook: () => unknown, failed: (error: unknown) => void): unknown {
  const before = enterNobody();
  try {
    const answer = hook();
    if (isThenable(answer)) answer.then(undefined, failed);
    return answer;
  } catch (error) {
    failed(error);
    return undefined;
  } finally {
    leave(before);
  }
}
