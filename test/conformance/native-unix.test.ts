import { unixBackend } from './backends.ts';
import { withNative } from './native.ts';
import { conformance } from './suite.ts';

withNative((transport) => {
  conformance('the native core, Unix sockets', () => unixBackend(transport, 'native'));
});
