import type { LimitsJson } from '../admin-status.ts';
import { Unanswered } from './api.ts';
import type { Api } from './api.ts';
import { ask } from './dialog.ts';
import { byId, enable, make, write } from './dom.ts';
import { many } from './format.ts';
import { changesOf, limitFields } from './limit-fields.ts';

/** The limits of the server: shown, and changed. */
export class LimitsForm {
  readonly #api: Api;
  readonly #inputs = new Map<string, HTMLInputElement>();
  readonly #review = make('button', { type: 'submit', class: 'primary', disabled: true }, 'Review changes…');
  readonly #undo = make('button', { type: 'reset', class: 'quiet', disabled: true }, 'Undo');
  readonly #problem = make('p', { class: 'error', role: 'alert' });
  #limits: LimitsJson | null = null;

  constructor(api: Api) {
    this.#api = api;
    const form = byId<HTMLFormElement>('limits');
    for (const group of new Set(limitFields.map((each) => each.group))) {
      const fields = limitFields
        .filter((each) => each.group === group)
        .map(({ path, label, hint }) => {
          const id = `limit-${path.replace('.', '-')}`;
          const input = make('input', {
            id,
            name: path,
            autocomplete: 'off',
            spellcheck: 'false',
            'aria-describedby': `${id}-hint`,
          });
          this.#inputs.set(path, input);
          const small = make('small', { id: `${id}-hint` }, hint);
          return make('div', { class: 'limit' }, make('label', { for: id }, label), input, small);
        });
      form.append(make('fieldset', { class: 'limit-group' }, make('legend', {}, group), ...fields));
    }
    form.append(this.#problem, make('div', { class: 'form-end' }, this.#undo, this.#review));
    form.addEventListener('input', () => this.#mark());
    form.addEventListener('reset', (event) => {
      event.preventDefault();
      if (this.#limits !== null) this.#fill(this.#limits);
    });
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#ask();
    });
  }

  /** These hold now. What somebody is changing stays as he wrote it. */
  show(limits: LimitsJson): void {
    const before = this.#limits;
    this.#limits = limits;
    for (const { path, text } of limitFields) {
      const input = this.#inputs.get(path)!;
      if (before === null || input.value === text(before)) input.value = text(limits);
    }
    this.#mark();
  }

  #fill(limits: LimitsJson): void {
    for (const { path, text } of limitFields) {
      const input = this.#inputs.get(path)!;
      input.value = text(limits);
      input.removeAttribute('aria-invalid');
    }
    write(this.#problem, '');
    this.#mark();
  }

  #changed(): ReadonlyMap<string, string> {
    const limits = this.#limits;
    if (limits === null) return new Map();
    const changed = limitFields
      .map(({ path, text }) => [path, this.#inputs.get(path)!.value.trim(), text(limits)] as const)
      .filter(([, now, before]) => now !== before)
      .map(([path, now]) => [path, now] as const);
    return new Map(changed);
  }

  #mark(): void {
    const changed = this.#changed();
    for (const [path, input] of this.#inputs) input.toggleAttribute('data-changed', changed.has(path));
    enable(this.#review, changed.size > 0);
    enable(this.#undo, changed.size > 0);
  }

  #ask(): void {
    const limits = this.#limits;
    const changed = this.#changed();
    if (limits === null || changed.size === 0) return;
    const rows = limitFields.flatMap(({ path, label, group, text }) => {
      const now = changed.get(path);
      if (now === undefined) return [];
      const before = make('td', {}, make('del', {}, text(limits)));
      return [
        make(
          'tr',
          {},
          make('th', { scope: 'row' }, `${group}: ${label}`),
          before,
          make('td', {}, make('ins', {}, now)),
        ),
      ];
    });
    ask({
      title: `Change ${many(changed.size, 'limit')}?`,
      text: 'They hold at once, and until the server ends. Connections that are open stay, and take new deadlines.',
      fields: [make('table', { class: 'changes' }, make('tbody', {}, ...rows))],
      confirm: 'Change',
      run: async () => {
        try {
          const answer = await this.#api.act<{ limits: LimitsJson }>('limits', changesOf(changed, limits));
          this.#limits = answer.limits;
          this.#fill(answer.limits);
          return `${many(changed.size, 'limit')} changed.`;
        } catch (error) {
          this.#blame(error);
          throw error;
        }
      },
    });
  }

  /** Marks what the server found wrong. */
  #blame(error: unknown): void {
    if (!(error instanceof Unanswered)) return;
    write(this.#problem, error.message);
    for (const [path, input] of this.#inputs) {
      const wrong = error.problems.some(
        (problem) =>
          problem.path === path || problem.path.startsWith(`${path}.`) || problem.path.startsWith(`${path}[`),
      );
      input.setAttribute('aria-invalid', String(wrong));
    }
  }
}
