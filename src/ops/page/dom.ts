/** What an element has inside. */
export type Inside = Node | string;

/** Makes an element. Text is text, whoever wrote it: nothing here reads HTML. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string | boolean>> = {},
  ...inside: readonly Inside[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, '');
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...inside);
  return element;
}

/** An element that the page has. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element as T;
}

/** Writes a text if it is another one, so that nothing moves that stays the same. */
export function write(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows an element, or hides it. */
export function show(element: HTMLElement, shown: boolean): void {
  if (element.hidden !== shown) return;
  const focused = element.contains(document.activeElement);
  element.hidden = !shown;
  if (focused) refuge(element);
}

/** Lets a button be pressed, or not. */
export function enable(button: HTMLButtonElement, on: boolean): void {
  if (button.disabled !== on) return;
  const focused = button === document.activeElement;
  button.disabled = !on;
  if (focused) refuge(button);
}

/** Gives the focus that an element has lost, being hidden or disabled, to the part of the page that it stands in: who has no mouse goes on from there. */
export function refuge(element: Element | null): void {
  const place = element?.parentElement?.closest<HTMLElement>('[tabindex="-1"]') ?? byId('main');
  place.focus({ preventScroll: true });
}

/** Holds the children of an element to a list: those of things that stay are kept with all they have, focus and hover too. */
export class Keyed<T, E extends HTMLElement> {
  readonly #parent: HTMLElement;
  readonly #make: (key: string) => E;
  readonly #fill: (element: E, value: T) => void;
  #kept = new Map<string, E>();

  constructor(parent: HTMLElement, make: (key: string) => E, fill: (element: E, value: T) => void) {
    this.#parent = parent;
    this.#make = make;
    this.#fill = fill;
  }

  show(values: readonly T[], keyOf: (value: T) => string): void {
    const { activeElement: focused } = document;
    const now = new Map<string, E>();
    for (const value of values) {
      const key = keyOf(value);
      const element = this.#kept.get(key) ?? this.#make(key);
      this.#fill(element, value);
      now.set(key, element);
    }
    for (const [key, element] of this.#kept) if (!now.has(key)) element.remove();
    let at = 0;
    for (const element of now.values()) {
      const there = this.#parent.children[at];
      if (there !== element) this.#parent.insertBefore(element, there ?? null);
      at += 1;
    }
    // Who is moved loses it.
    if (focused instanceof HTMLElement && focused !== document.activeElement && this.#parent.contains(focused))
      focused.focus({ preventScroll: true });
    this.#kept = now;
  }
}
