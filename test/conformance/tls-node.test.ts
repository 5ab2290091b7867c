import { nodeTransport } from '../../src/transport/node/transport.ts';
import { tcpBackend } from './backends.ts';
import { conformance } from './suite.ts';
import { tlsBackend } from './tls-backend.ts';

conformance('TLS over node:net, TCP', () => tlsBackend(tcpBackend(nodeTransport, 'node')), { releases: false });
