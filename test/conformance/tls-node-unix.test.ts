import { nodeTransport } from '../../src/transport/node/transport.ts';
import { unixBackend } from './backends.ts';
import { conformance } from './suite.ts';
import { tlsBackend } from './tls-backend.ts';

conformance('TLS over node:net, Unix', () => tlsBackend(unixBackend(nodeTransport, 'node')), { releases: false });
