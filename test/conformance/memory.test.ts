import { memoryBackend } from './memory-backend.ts';
import { conformance } from './suite.ts';

conformance('memory', () => memoryBackend());
