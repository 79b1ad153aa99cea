/** Renders the report as one self-contained HTML page: no script, font or picture from elsewhere. */
import { escaped } from '../../../lib/html.ts';
import type { Account, Section } from './account.ts';

export interface PageParts {
  readonly title: string;
  readonly inOrder: boolean;
  readonly verdict: string;
  readonly wrong: readonly string[];
  readonly account: Account;
  readonly picture: string;
  /** Evidence for the verdict. */
  readonly grounds: readonly string[];
  readonly howTo: string;
  readonly zone: string;
  readonly madeText: string;
}

export function pageOf(parts: PageParts): string {
  const { title, inOrder, verdict, wrong, account, picture, grounds, howTo, zone, madeText } = parts;
  const problemList = wrong.length === 0 ? '' : list(wrong);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escaped(title)}</h1>
<section class="verdict ${inOrder ? 'good' : 'bad'}" role="status">
<p><strong>${escaped(verdict)}</strong></p>
${problemList}
</section>
${account.alarms.map((sentence) => `<p class="verdict bad"><strong>${escaped(sentence)}</strong></p>`).join('\n')}
<section class="summary">
${account.summary.map((sentence) => `<p>${escaped(sentence)}</p>`).join('\n')}
</section>
<figure>
${picture}
<figcaption>All times are those of ${escaped(zone)}. Point at a bar to read its times. Short periods are drawn wider than they were, so that they can be seen.</figcaption>
</figure>
${account.sections.map(sectionHtml).join('\n')}
<section>
<h2>How to check this page</h2>
<p>It shows the content of the journal of the box. Anyone can check this journal, on any machine, without the box.</p>
<pre>${escaped(howTo)}</pre>
${list(grounds)}
<p class="made">${escaped(madeText)}</p>
</section>
</main>
</body>
</html>
`;
}

function sectionHtml({ title, lines, omittedCount }: Section): string {
  if (lines.length === 0) return `<section><h2>${escaped(title)}</h2><p class="none">Nothing.</p></section>`;
  const rows = lines.map(({ timeText, text }) =>
    timeText === ''
      ? `<tr><td colspan="2">${escaped(text)}</td></tr>`
      : `<tr><th scope="row">${escaped(timeText)}</th><td>${escaped(text)}</td></tr>`,
  );
  const rest =
    omittedCount === 0 ? '' : `<p>… and ${omittedCount} more, which vigie-oversight report --json has.</p>`;
  return `<section><h2>${escaped(title)}</h2><table><tbody>${rows.join('\n')}</tbody></table>${rest}</section>`;
}

const list = (items: readonly string[]): string =>
  `<ul>${items.map((item) => `<li>${escaped(item)}</li>`).join('\n')}</ul>`;

const STYLE = `
:root { color-scheme: light; --ink: #1a202c; --quiet: #4a5568; --line: #cbd5e0; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink); font: 16px/1.5 system-ui, "DejaVu Sans", Arial, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .4rem 0; }
.verdict { border: 2px solid; border-left-width: 10px; padding: .6rem 1rem; border-radius: 4px; }
.good { border-color: #276749; background: #f0fff4; }
.bad { border-color: #9b2c2c; background: #fff5f5; }
.summary { font-size: 1.05rem; margin: 1rem 0; }
figure { margin: 1.5rem 0; }
figcaption { margin-top: .5rem; }
figcaption, .none, .made { color: var(--quiet); font-size: .9rem; }
svg { display: block; overflow: hidden; }
svg text { font: 13px system-ui, "DejaVu Sans", Arial, sans-serif; fill: var(--ink); }
svg .tick { fill: var(--quiet); font-size: 12px; }
.grid { stroke: var(--line); stroke-width: 1; stroke-dasharray: 2 3; }
.track { fill: #edf2f7; }
.active { fill: #2f855a; }
.suspended { fill: url(#hatch); }
.unauthorised { fill: url(#cross); }
.down { fill: #4a5568; }
.unproved { fill: url(#dots); stroke: #9b2c2c; stroke-width: 1; }
.alert { fill: #b7791f; }
.change { fill: #2d3748; }
.search { fill: #6b46c1; }
svg rect:hover { opacity: .7; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; font-weight: normal; }
th { width: 19rem; color: var(--quiet); }
pre { background: #edf2f7; padding: .6rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; font: .85rem/1.4 ui-monospace, "DejaVu Sans Mono", monospace; }
ul { padding-left: 1.2rem; }
li { overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  body { font-size: 15px; }
  svg text { font-size: 11.5px; }
  svg .tick.minor, svg .grid.minor { display: none; }
  table, tbody, tr, th, td { display: block; width: auto; }
  th { border: 0; padding-bottom: 0; font-size: .85rem; }
}
@media print {
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  section, figure, tr { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;
