import { PortsideError } from '../../base/errors.ts';
import type { Problem } from '../../base/options.ts';

/** Certificates and keys that can't be used: all of the problems at once, never with anything of a key. Its code is `ERR_PORTSIDE_CERTIFICATE`. */
export class CertificateError extends PortsideError {
  /** What is wrong, and where: `cert (/etc/tls/a.pem)`, `servers["a.example.org"].key`. */
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[], cause?: unknown) {
    const text = problems.map(({ path, message }) => `${path} ${message}`).join('; ');
    super('ERR_PORTSIDE_CERTIFICATE', `tls: ${text}`, { op: 'tls', cause });
    this.problems = problems;
  }
}
Object.defineProperty(CertificateError.prototype, 'name', {
  value: 'CertificateError',
  configurable: true,
  writable: true,
});
