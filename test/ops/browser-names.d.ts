/** What the types of playwright-core name of a browser's own, which the tests themselves do not use: what runs in the page is given to it as text. */
interface Node {
  readonly nodeType: number;
}

interface HTMLElement extends Node {
  readonly tagName: string;
}

interface SVGElement extends Node {
  readonly tagName: string;
}

interface HTMLElementTagNameMap {
  readonly [name: string]: HTMLElement;
}
