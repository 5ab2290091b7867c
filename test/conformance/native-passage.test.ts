import { withNative } from './native.ts';
import { passages } from './passage.ts';

withNative((transport) => {
  passages('the native core', { transport, name: 'native' });
});
