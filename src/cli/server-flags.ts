import { count, countOrNone, duration, octal, oneOfWords, rate, whenFull, word } from './flag-values.ts';
import type { FlagGroup } from './flag.ts';

const deadline = duration({ none: true, min: 1 });
const window = duration();

/** The options of a server on the command line. `serve` and `exec` have the same. */
export const serverFlags: readonly FlagGroup[] = [
  {
    heading: 'Where to listen:',
    flags: [
      {
        flags: '-p, --port <port>',
        what: 'the port: a number (0: any that is free) or the name of a service',
        option: 'port',
      },
      {
        flags: '--host <host>',
        what: 'the address of --port; 0.0.0.0 or :: lets others than this machine in (default: 127.0.0.1)',
        option: 'host',
      },
      {
        flags: '-e, --endpoint <endpoint>',
        what: 'tcp://host:port, tls://host:port, unix:///run/x.sock, fd://3, systemd://name; may be given several times',
        option: 'listen',
        list: 'times',
      },
      {
        flags: '--backlog <n>',
        what: 'connections that may wait unaccepted (default: 511)',
        option: 'backlog',
        read: count,
      },
      { flags: '--mode <octal>', what: 'permissions of a Unix domain socket, as in 660', option: 'mode', read: octal },
      {
        flags: '--transport <name>',
        what: 'what carries the bytes: auto, node or native (default: auto)',
        option: 'transport',
        read: oneOfWords('auto', 'node', 'native'),
      },
    ],
  },
  {
    heading: 'Who is let in:',
    flags: [
      {
        flags: '--max-connections <n>',
        what: 'connections at a time (default: 10000; exec: 40)',
        option: 'maxConnections',
        read: count,
      },
      {
        flags: '--when-full <what>',
        what: 'wait; refuse; or 10@500ms: look again 10 times, 500 ms apart, then refuse (default: wait)',
        option: 'whenFull',
        read: whenFull,
      },
      {
        flags: '--per-client <n>',
        what: 'connections of one client at a time (default: none)',
        option: 'maxPerClient',
        read: countOrNone,
      },
      {
        flags: '--rate <n/time>',
        what: 'how often one client may connect, as in 20/1s (default: none)',
        option: 'rate',
        read: rate,
      },
      {
        flags: '--allow <addresses>',
        what: 'only these may come: addresses, CIDRs, loopback, private; a list with commas, or several times',
        option: 'allow',
        list: 'commas',
      },
      {
        flags: '--deny <addresses>',
        what: 'these may not come, whatever --allow says',
        option: 'deny',
        list: 'commas',
      },
    ],
  },
  {
    heading: 'How long things may take (500ms, 30s, 5m, 1h, none):',
    flags: [
      {
        flags: '--handshake-timeout <time>',
        what: 'the handshake of TLS (default: 10s)',
        option: 'tls.handshakeTimeout',
        // There is always one, as a stranger who says nothing must not stay.
        read: duration({ min: 1 }),
      },
      {
        flags: '--first-byte-timeout <time>',
        what: 'until the first byte of the client (default: none)',
        option: 'deadlines.firstByte',
        read: deadline,
      },
      {
        flags: '--idle-timeout <time>',
        what: 'without a byte in either direction (default: none)',
        option: 'deadlines.idle',
        read: deadline,
      },
      {
        flags: '--read-timeout <time>',
        what: 'that a reader waits for its client (default: none)',
        option: 'deadlines.read',
        read: deadline,
      },
      {
        flags: '--write-timeout <time>',
        what: 'that a writer waits while its client takes nothing (default: 1m)',
        option: 'deadlines.write',
        read: deadline,
      },
      {
        flags: '--life-timeout <time>',
        what: 'the whole connection (default: none)',
        option: 'deadlines.life',
        read: deadline,
      },
    ],
  },
  {
    heading: 'TLS:',
    flags: [
      {
        flags: '--tls-cert <file>',
        what: 'the certificate and its chain, as PEM; makes TLS of all endpoints but tcp://…',
        option: 'tls.cert',
        conflicts: ['tlsSelfSigned'],
      },
      { flags: '--tls-key <file>', what: 'its private key, as PEM', option: 'tls.key', conflicts: ['tlsSelfSigned'] },
      {
        flags: '--tls-self-signed [folder]',
        what: 'a certificate for development instead, which the folder keeps, or else nobody',
        option: null,
      },
      {
        flags: '--tls-ca <file>',
        what: 'whom client certificates have to come from, as PEM; may be given several times',
        option: 'tls.ca',
        list: 'times',
      },
      {
        flags: '--tls-client-cert <when>',
        what: 'whether clients show a certificate: none, request or require (default: none)',
        option: 'tls.clientCertificate',
        read: oneOfWords('none', 'request', 'require'),
      },
      {
        flags: '--tls-alpn <names>',
        what: 'protocols to agree on, the best first, with commas',
        option: 'tls.alpn',
        list: 'commas',
      },
      {
        flags: '--tls-min <version>',
        what: 'the oldest version: 1.2 or 1.3 (default: 1.2)',
        option: 'tls.minVersion',
        read: word({ '1.2': 'TLSv1.2', '1.3': 'TLSv1.3' }),
      },
      {
        flags: '--tls-watch',
        what: 'take up new certificates when the files change; SIGHUP does so at any time',
        option: 'tls.watch',
      },
    ],
  },
  {
    heading: 'Behind a proxy:',
    flags: [
      {
        flags: '--proxy-from <addresses>',
        what: 'whose PROXY headers are believed: addresses, CIDRs, loopback, private, unix; as --allow',
        option: 'proxy.from',
        list: 'commas',
      },
      {
        flags: '--proxy <mode>',
        what: 'require: nobody comes without a header; optional: others come as they are (default: require)',
        option: 'proxy.mode',
        read: oneOfWords('optional', 'require'),
      },
    ],
  },
  {
    heading: 'The end:',
    flags: [
      {
        flags: '--grace <time>',
        what: 'that connections have to come to their end, after which they are cut (default: 10s)',
        option: 'grace',
        read: duration({ none: true }),
      },
      {
        flags: '--drain-lead <time>',
        what: 'that it goes on accepting while it is not ready any more (default: 0)',
        option: 'lead',
        read: window,
      },
      {
        flags: '--drain-spread <time>',
        what: 'over which idle connections are closed (default: 0)',
        option: 'spread',
        read: window,
      },
      {
        flags: '--shutdown <endpoint>',
        what: 'where any connection stops the server; on loopback unless a host is named',
        option: 'shutdown',
      },
    ],
  },
  {
    heading: 'To operate it:',
    flags: [
      {
        flags: '--admin <endpoint>',
        what: 'where it is looked at and acted on while it serves, as 127.0.0.1:7001 or /run/x.sock (default: nowhere)',
        option: 'admin',
      },
      { flags: '--no-admin', what: 'nowhere, though the config file says where', option: null },
      {
        flags: '--admin-token-file <file>',
        what: 'what has to be shown there, needed where others than this machine may come',
        option: 'adminTokenFile',
      },
      {
        flags: '--admin-name <names>',
        what: 'names by which it is asked for beside localhost, with commas',
        option: 'adminNames',
        list: 'commas',
      },
      {
        flags: '--upgradable',
        what: 'keep the sockets in a small process of their own, so that SIGUSR2 or portside upgrade starts a new version without a break',
        option: null,
      },
      {
        flags: '--upgrade-timeout <time>',
        what: 'in which the new version has to be ready, else the old one goes on (default: 1m)',
        option: null,
        read: duration({ min: 1 }),
      },
      {
        flags: '--log-level <level>',
        what: 'the least that is written to the log: trace, debug, info, warn, error, fatal or silent (default: info)',
        option: 'logLevel',
        read: oneOfWords('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
        env: 'PORTSIDE_LOG_LEVEL',
      },
      {
        flags: '--log-format <format>',
        what: 'pretty; json: an object a line, and no words beside them; auto: pretty at a terminal, else json (default: auto)',
        option: 'logFormat',
        read: oneOfWords('auto', 'pretty', 'json'),
        env: 'PORTSIDE_LOG_FORMAT',
      },
      {
        flags: '--access-log',
        what: 'a line in the log for each connection that is over (default)',
        option: 'accessLog',
      },
      { flags: '--no-access-log', what: 'no such lines', option: 'accessLog' },
    ],
  },
  {
    heading: 'Options:',
    flags: [
      {
        flags: '-c, --config <file>',
        what: 'options from this file (default: portside.config.ts, .mts, .js or .mjs here)',
        option: null,
      },
      { flags: '--no-config', what: 'no config file, though there is one', option: null },
      {
        flags: '--verbose [prefix]',
        what: 'a line for each step of each connection, and where errors come from',
        option: 'verbose',
        // Without a prefix; see main.ts.
        read: (text) => text === '' || text,
      },
    ],
  },
];
