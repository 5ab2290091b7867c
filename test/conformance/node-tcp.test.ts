import { nodeTransport } from '../../src/transport/node/transport.ts';
import { tcpBackend } from './backends.ts';
import { conformance } from './suite.ts';

conformance('node:net, TCP', () => tcpBackend(nodeTransport, 'node'));
