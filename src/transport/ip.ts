/** Numeric addresses, without a socket module for the rooms above. */
export { isIP } from 'node:net';
