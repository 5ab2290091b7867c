import { byId } from './dom.ts';

const KEPT_THEME = 'portside-theme';

/** Takes the colours that were chosen here before, and lets them be chosen; `changed`: they are other ones now. */
export function themed(changed: () => void): void {
  const root = document.documentElement;
  const apply = (theme: string): void => {
    root.dataset['theme'] = theme;
    changed();
  };
  let kept = 'auto';
  try {
    kept = localStorage.getItem(KEPT_THEME) ?? 'auto';
  } catch {
    // Nothing may be kept here.
  }
  for (const input of byId('theme').querySelectorAll('input')) {
    if (input.value === kept) {
      input.checked = true;
      apply(kept);
    }
    input.addEventListener('change', () => {
      apply(input.value);
      try {
        localStorage.setItem(KEPT_THEME, input.value);
      } catch {
        // It holds for this page all the same.
      }
    });
  }
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);
}
