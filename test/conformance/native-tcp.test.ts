import { tcpBackend } from './backends.ts';
import { withNative } from './native.ts';
import { conformance } from './suite.ts';

withNative((transport) => {
  conformance('the native core, TCP', () => tcpBackend(transport, 'native'));
});
