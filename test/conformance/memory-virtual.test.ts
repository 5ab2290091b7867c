import { VirtualClock } from '../../src/sync/virtual-clock.ts';
import { memoryBackend } from './memory-backend.ts';
import { conformance } from './suite.ts';

conformance('memory in virtual time', () => {
  const clock = new VirtualClock();
  return memoryBackend(clock, () => clock.advance(1));
});
