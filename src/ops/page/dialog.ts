import { Unanswered, reasonOf } from './api.ts';
import { byId, make, refuge, show, write } from './dom.ts';
import type { Inside } from './dom.ts';

/** What is asked before something is done. */
export interface Question {
  readonly title: string;
  readonly text: string;
  readonly fields?: readonly Inside[];
  /** What stands on the button that does it. */
  readonly confirm: string;
  /** What it ends can't be brought back. */
  readonly danger?: boolean;
  /** Does it, and gives what is to be said of it; the dialog stays open, and tells why, when that fails. */
  run(): Promise<string>;
}

const dialog = byId<HTMLDialogElement>('dialog');
const confirmButton = byId<HTMLButtonElement>('dialog-confirm');
const cancelButton = byId<HTMLButtonElement>('dialog-cancel');
const problem = byId('dialog-error');
const fieldsPlace = byId('dialog-fields');
let asked: Question | null = null;
let opener: Element | null = null;
let saying: ReturnType<typeof setTimeout> | undefined;

/** Says what came of something, for a while. */
export function say(text: string): void {
  const said = byId('said');
  clearTimeout(saying);
  said.textContent = text;
  saying = setTimeout(() => {
    said.textContent = '';
  }, 8_000);
}

/** Asks whether something is to be done, and does it. */
export function ask(question: Question): void {
  asked = question;
  opener = document.activeElement;
  write(byId('dialog-title'), question.title);
  write(byId('dialog-text'), question.text);
  write(confirmButton, question.confirm);
  write(problem, '');
  confirmButton.className = question.danger === true ? 'danger' : 'primary';
  fieldsPlace.replaceChildren(...(question.fields ?? []));
  show(fieldsPlace, fieldsPlace.childElementCount > 0);
  work(false);
  dialog.showModal();
  const first = fieldsPlace.querySelector<HTMLElement>('input, select, textarea');
  (first ?? (question.danger === true ? cancelButton : confirmButton)).focus();
}

/** A labelled field for a dialog. */
export function field(label: string, input: HTMLElement, hint = ''): HTMLElement {
  return make('label', { class: 'field' }, make('span', {}, label), input, make('small', {}, hint));
}

function work(busy: boolean): void {
  dialog.toggleAttribute('data-busy', busy);
  // It is not disabled, as it has the focus.
  confirmButton.setAttribute('aria-disabled', String(busy));
  confirmButton.setAttribute('aria-busy', String(busy));
}

async function answer(): Promise<void> {
  const question = asked;
  if (question === null || dialog.hasAttribute('data-busy')) return;
  write(problem, '');
  for (const marked of fieldsPlace.querySelectorAll('[aria-invalid]')) marked.removeAttribute('aria-invalid');
  work(true);
  try {
    const told = await question.run();
    if (asked === question) dialog.close();
    say(told);
  } catch (error) {
    if (asked !== question) {
      say(`${question.title}: ${reasonOf(error)}`);
      return;
    }
    write(problem, `That did not work: ${reasonOf(error)}.`);
    const [at] = error instanceof Unanswered ? error.problems : [];
    const wrong = at === undefined ? null : fieldsPlace.querySelector<HTMLElement>(`[name="${CSS.escape(at.path)}"]`);
    wrong?.setAttribute('aria-invalid', 'true');
    work(false);
    (wrong ?? confirmButton).focus();
  }
}

byId('dialog-form').addEventListener('submit', (event) => {
  event.preventDefault();
  void answer();
});
cancelButton.addEventListener('click', () => dialog.close());
dialog.addEventListener('close', () => {
  // The event comes later, and the next question may be there already.
  if (dialog.open) return;
  asked = null;
  // A browser gives it back to whoever had it, where that one can have it; else it stays here, out of sight, until the next drawing, and is lost then.
  const { activeElement: focused } = document;
  if (focused === document.body || dialog.contains(focused)) refuge(opener);
});
