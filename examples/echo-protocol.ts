// Sends back what it gets, as a protocol: plain callbacks, the fast path. Reading pauses by
// itself while the peer doesn't take what is sent.
//   npx portside serve examples/echo-protocol.ts --port 5000
//   nc 127.0.0.1 5000
import type { Protocol } from 'portside';

const echo: Protocol = {
  data(conn, bytes) {
    void conn.write(bytes);
  },
};

export default echo;
