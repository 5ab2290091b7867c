/** Operating a server: seeing what it does, and acting on it. */
export { Admin, startAdmin } from './ops/admin.ts';
export type { AdminOptions } from './ops/admin.ts';
export type { AuditEntry } from './ops/audit.ts';
export { subjectOf } from './ops/subject.ts';
export type { ConnectionName, Subject, SubjectConnection, SubjectEvent, SubjectStatus } from './ops/subject.ts';
