import { tcpBackend } from './backends.ts';
import { withNative } from './native.ts';
import { conformance } from './suite.ts';
import { tlsBackend } from './tls-backend.ts';

withNative((transport) => {
  conformance('TLS over the native core, TCP', () => tlsBackend(tcpBackend(transport, 'native')), { releases: false });
});
