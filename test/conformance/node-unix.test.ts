import { nodeTransport } from '../../src/transport/node/transport.ts';
import { unixBackend } from './backends.ts';
import { conformance } from './suite.ts';

conformance('node:net, Unix sockets', () => unixBackend(nodeTransport, 'node'));
