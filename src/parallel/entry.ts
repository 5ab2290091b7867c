/** What every worker thread begins with. */
import { parentPort } from 'node:worker_threads';
import type { WorkerInit } from './protocol.ts';
import { WorkerMain } from './worker-main.ts';

parentPort?.once('message', (init: WorkerInit) => void new WorkerMain(init).run());
