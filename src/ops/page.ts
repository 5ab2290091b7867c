import { readFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { PortsideError } from '../base/errors.ts';

/** What the page is made of: its frame, its styles, and its script, by the module that begins it. */
const FRAME = 'page.html';
const STYLES = ['base.css', 'layout.css', 'parts.css', 'forms.css', 'connections.css'];
const MAIN = 'main';
/** Sources as they are written, or as they were built, whichever this file is itself. */
const ENDING = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

let made: Promise<string> | null = null;

/**
 * The status page of an admin endpoint: one page of HTML with everything that it needs in it. To be given to `startAdmin` as its `page`, which calls it when
 * the page is first asked for; the files are read then, once.
 *
 * Rejects with the system's error when a file is missing.
 */
export function statusPage(): Promise<string> {
  made ??= compose().catch((error: unknown) => {
    made = null;
    throw error;
  });
  return made;
}

async function compose(): Promise<string> {
  const [frame, chartStyle, chartScript, script, ...styles] = await Promise.all([
    part(FRAME),
    ofCharts('uPlot.min.css'),
    ofCharts('uPlot.iife.min.js'),
    joined(),
    ...STYLES.map((name) => part(name)),
  ]);
  const style = [chartStyle, ...styles].join('\n');
  // By functions: in a plain replacement a `$` is more than itself.
  return frame
    .replace('<!-- styles -->', () => `<style>\n${checked(style, 'style')}</style>`)
    .replace(
      '<!-- scripts -->',
      () =>
        `<script>\n${checked(chartScript, 'script')}</script>\n    <script type="module">\n${checked(script, 'script')}</script>`,
    );
}

/** Text that may stand in an element: nothing in it ends that, or opens a comment. */
function checked(text: string, element: 'script' | 'style'): string {
  if (/<\/(script|style)|<!--/iu.test(text))
    throw new PortsideError('ERR_PORTSIDE_UNSUPPORTED', `what the page has in <${element}> would end it`);
  return text;
}

function part(name: string): Promise<string> {
  return readFile(new URL(`page/${name}`, import.meta.url), 'utf8');
}

function ofCharts(name: string): Promise<string> {
  // The package's entry lies beside them.
  return readFile(new URL(name, import.meta.resolve('uplot')), 'utf8');
}

/** `import { a, b } from './c.ts';`, as the page's modules import each other, and in no other way. */
const IMPORT = /^import \{[\w\s,]+\} from '\.\/([\w-]+)\.[jt]s';$/gmu;

/** The modules of the page as one: each after those that it imports, without imports and exports. Their names are unique over all of them. */
async function joined(): Promise<string> {
  const texts: string[] = [];
  const seen = new Set<string>();
  const add = async (name: string): Promise<void> => {
    if (seen.has(name)) return;
    seen.add(name);
    const text = await script(name);
    for (const [, wanted = ''] of text.matchAll(IMPORT)) await add(wanted);
    const bare = text
      .replaceAll(IMPORT, '')
      .replaceAll(/^export (?=(abstract |async )?(class|const|function|let)\b)/gmu, '')
      .replaceAll(/^\/\/# sourceMappingURL=.*$/gmu, '')
      .replaceAll(/^export \{\};$/gmu, '');
    if (/^(import|export)\b/mu.test(bare))
      throw new PortsideError(
        'ERR_PORTSIDE_UNSUPPORTED',
        `the page's module ${name} imports or exports in another way`,
      );
    texts.push(`// ${name}\n${bare.trim()}\n`);
  };
  await add(MAIN);
  return texts.join('\n');
}

async function script(name: string): Promise<string> {
  const text = await part(`${name}${ENDING}`);
  if (ENDING === '.js') return text;
  return stripTypeScriptTypes(text)
    .replaceAll(/[ \t]+$/gmu, '')
    .replaceAll(/\n{3,}/gu, '\n\n');
}
