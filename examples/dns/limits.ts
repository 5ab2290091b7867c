// What one resolver does at once. Nobody outside decides how much of anything there is.

/** Clients that wait for an answer: in all, for different questions, and for one question. */
export const MOST_WAITING = 2_000;
export const MOST_QUESTIONS = 500;
export const MOST_ALIKE = 200;
/** Answers that are kept, and their bytes. */
export const MOST_KEPT = 10_000;
export const MOST_KEPT_BYTES = 16_777_216;
/** Clients by TCP, questions of each that are under way, and bytes of answers that it has not taken. */
export const MOST_CONNECTIONS = 100;
export const MOST_PIPELINED = 16;
export const MOST_UNTAKEN = 131_072;
/** Milliseconds for which a client by TCP may ask nothing and take nothing. */
export const PATIENCE_WITH_CLIENTS = 5_000;
/** Milliseconds that a server gets for each try by UDP, and for all of an answer by TCP. */
export const PATIENCE_BY_UDP: readonly number[] = [500, 1_000, 2_000];
export const PATIENCE_BY_TCP = 3_000;
