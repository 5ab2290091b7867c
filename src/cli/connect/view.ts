import { HexView } from './hex-view.ts';
import { LineView } from './line-view.ts';
import type { Showing } from './plan.ts';

/** Makes what is shown of what is sent and received. Each call gives what to write now, or null. */
export interface View {
  sent(bytes: Uint8Array): Uint8Array | string | null;
  received(bytes: Uint8Array): Uint8Array | string | null;
  /** What was kept back, when nothing more comes. */
  rest(): Uint8Array | string | null;
}

/** Where something is shown, and whether what is sent is to be seen there already. */
export interface Screen {
  readonly terminal: boolean;
  readonly echoes: boolean;
}

/** The view for what was asked for. */
export function viewOf(showing: Showing, screen: Screen): View {
  switch (showing) {
    case 'raw':
      return { sent: () => null, received: (bytes) => bytes, rest: () => null };
    case 'hex':
      return new HexView();
    case 'lines':
      return new LineView(screen);
  }
}
