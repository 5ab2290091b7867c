import { memoryBackend } from './memory-backend.ts';
import { conformance } from './suite.ts';
import { tlsBackend } from './tls-backend.ts';

conformance('TLS over memory', () => tlsBackend(memoryBackend()), { releases: false });
