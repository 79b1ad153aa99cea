/** Renders the public page and the sign: self-contained HTML without a script, from facts alone. */
import { renderSVG } from 'uqr';
import { Html, html } from '../../../lib/html.ts';
import { STATES, type State } from '../timeline/timeline.ts';
import type { MonthCounts, PublicFacts, PublicRule } from './facts.ts';
import { type Language, TEXTS, type Texts } from './texts.ts';

/** Colours of the journal's report; each state is also given in words. */
const STYLE = new Html(`
  :root { --active: #2f855a; --suspended: #2b6cb0; --unauthorised: #c05621; --down: #4a5568; --unproved: #d6a4a4; --ink: #1a1a1a; --soft: #555; --line: #ddd; }
  * { box-sizing: border-box; }
  body { margin: 0 auto; max-width: 46rem; padding: 1.25rem 1rem 3rem; font: 1.05rem/1.55 system-ui, sans-serif; color: var(--ink); background: #fff; }
  h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
  h2 { font-size: 1.2rem; margin: 2rem 0 .4rem; }
  p, ul { margin: .4rem 0; } ul { padding-left: 1.2rem; }
  .soft { color: var(--soft); }
  .state { border-left: .6rem solid var(--down); padding: .6rem 1rem; background: #f6f6f6; margin-top: .5rem; }
  .state strong { font-size: 1.35rem; }
  .state.active { border-color: var(--active); } .state.suspended { border-color: var(--suspended); } .state.unauthorised { border-color: var(--unauthorised); }
  .alarm { border: 2px solid #b00020; color: #b00020; padding: .6rem 1rem; font-weight: 600; }
  .wide { overflow-x: auto; }
  table { border-collapse: collapse; width: 100%; font-size: .95rem; }
  th, td { text-align: left; vertical-align: top; padding: .45rem .6rem .45rem 0; border-bottom: 1px solid var(--line); overflow-wrap: break-word; }
  table.months td:first-child { white-space: nowrap; }
  td.figure, th.figure { text-align: right; font-variant-numeric: tabular-nums; } td.figure { white-space: nowrap; }
  .bar { display: flex; min-width: 7rem; height: .9rem; margin-top: .3rem; background: #eee; }
  .bar span { display: block; height: 100%; }
  .legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .9rem; margin: .4rem 0; }
  .legend i { display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; vertical-align: -.05rem; }
  .active-fill { background: var(--active); } .suspended-fill { background: var(--suspended); } .unauthorised-fill { background: var(--unauthorised); } .down-fill { background: var(--down); } .unproved-fill { background: var(--unproved); }
  code { display: block; font: .85rem/1.4 ui-monospace, monospace; background: #f6f6f6; padding: .5rem .7rem; overflow-wrap: anywhere; margin: .3rem 0; }
  footer { margin-top: 2.5rem; font-size: .9rem; color: var(--soft); }
  @media (max-width: 34rem) {
    table.rules, table.rules tbody, table.rules tr, table.rules td { display: block; } table.rules thead { display: none; }
    table.rules td { border: 0; padding: .1rem 0; } table.rules tr { border-bottom: 1px solid var(--line); padding: .5rem 0; display: block; }
    table.rules td:first-child { font-weight: 600; }
  }
  @media print { body { max-width: none; } .bar, .bar span, i, .state { print-color-adjust: exact; } }
`);

const SIGN_STYLE = new Html(`
  @page { size: A4 portrait; margin: 0; }
  * { box-sizing: border-box; }
  body { margin: 0 auto; width: 210mm; max-width: 100%; min-height: 296mm; padding: 16mm; display: flex; flex-direction: column; gap: 7mm; font: 6mm/1.35 system-ui, sans-serif; color: #111; background: #fff; }
  h1 { font-size: 15mm; line-height: 1.05; margin: 0; }
  p, ul { margin: 0; } ul { padding-left: 8mm; }
  .no { background: #111; color: #fff; padding: 6mm; font-weight: 600; print-color-adjust: exact; }
  .more { margin-top: auto; display: flex; gap: 8mm; align-items: center; font-size: 5mm; }
  .more svg { width: 52mm; height: 52mm; flex: none; }
  .more p { overflow-wrap: anywhere; }
`);

function documentOf(texts: Texts, title: string, style: Html, body: Html): string {
  const language = texts.locale.slice(0, 2);
  return html`<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${title}</title>
<style>${style}</style>
</head>
<body>
${body}
</body>
</html>
`.text;
}

export function publicPage(facts: PublicFacts, language: Language): string {
  const texts = TEXTS[language];
  const { mode, journal } = facts;
  const moment = new Intl.DateTimeFormat(texts.locale, {
    dateStyle: 'long',
    timeStyle: 'short',
    timeZone: facts.timeZone,
  });
  const { name, means } = texts.modes[mode.mode];
  const retention = texts.retentionTexts(
    facts.retention.eventsDays,
    facts.retention.snapshotsDays,
    facts.retention.sealedDays,
  );
  const body = html`<h1>${texts.title}</h1>
<p class="soft">${facts.site} · ${facts.box}</p>
<p>${texts.lead}</p>
${journal.inOrder ? '' : html`<p class="alarm">${texts.notInOrder}</p>`}
${facts.missingResumes.map((time) => html`<p class="alarm">${texts.missingResume(moment.format(time))}</p>`)}
<h2>${texts.now}</h2>
<div class="state ${mode.mode}"><strong>${name}</strong> <span class="soft">${texts.sinceText(moment.format(mode.sinceTime))}</span><br>${means}
<br><span class="soft">(${texts.madeAt(moment.format(facts.madeAt))})</span></div>
<h2>${texts.authority}</h2>
${authorityOf(facts, texts)}
<h2>${texts.detected}</h2>
${rulesOf(facts.rules, texts)}
<p class="soft">${texts.condition}</p>
<h2>${texts.never}</h2>
${list(texts.nevers)}
<p>${texts.masks(facts.masks)}</p>
<h2>${texts.leaves}</h2>
${list(texts.leaving)}
<p>${texts.redaction}</p>
${sealedOf(facts, texts)}
${tracksOf(facts, texts)}
<h2>${texts.retention}</h2>
${list(retention)}
<h2>${texts.counts}</h2>
${facts.months.length === 0 ? html`<p>${texts.noCounts}</p>` : monthsOf(facts.months, texts)}
<h2>${texts.verify}</h2>
<p>${texts.verifyHow[0] ?? ''}</p>
<code>vigie-oversight verify journal --key '${journal.verifierKey}'</code>
<p>${texts.verifyHow[1] ?? ''}</p>
<code>${String(journal.size)} · ${journal.rootHash}</code>
<p>${texts.verifyLimits}</p>
<h2>${texts.rights}</h2>
<p>${texts.rightsHow(facts.contact)}</p>
<footer>Vigie ${facts.version} · ${facts.url}</footer>`;
  return documentOf(texts, `${texts.title} · ${facts.box}`, STYLE, body);
}

/** Returns the sign, an A4 page to be mounted on site. */
export function publicSign(facts: PublicFacts, language: Language): string {
  const texts = TEXTS[language];
  const kinds = alertingKinds(facts, texts);
  const body = html`<h1>${texts.sign.title}</h1>
${kinds.length === 0 ? html`<p>${texts.sign.alertsNothing}</p>` : html`<p>${texts.sign.alerts}</p>${list(kinds)}`}
<p class="no">${texts.sign.no}</p>
<p>${facts.authorisation?.authority ?? ''}</p>
<p>${texts.rightsHow(facts.contact)}</p>
<div class="more">${new Html(renderSVG(facts.url, { ecc: 'M', border: 2 }))}<p>${texts.sign.moreText}<br>${facts.url}<br>${facts.box}</p></div>`;
  return documentOf(texts, `${texts.sign.title} · ${facts.box}`, SIGN_STYLE, body);
}

/** Returns the words of the sign, for its manufacturer. */
export function publicSignText(facts: PublicFacts, language: Language): string {
  const texts = TEXTS[language];
  const kinds = alertingKinds(facts, texts);
  const lines = [
    texts.sign.title,
    '',
    ...(kinds.length === 0
      ? [texts.sign.alertsNothing]
      : [texts.sign.alerts, ...kinds.map((kind) => `- ${kind}`)]),
    '',
    texts.sign.no,
    ...(facts.authorisation === null ? [] : [facts.authorisation.authority]),
    texts.rightsHow(facts.contact),
    `${texts.sign.moreText} ${facts.url}`,
  ];
  return `${lines.join('\n')}\n`;
}

function nameOf(kind: string, { kinds }: Texts): string {
  return new Map<string, string>(Object.entries(kinds)).get(kind) ?? kind;
}

function alertingKinds({ rules }: PublicFacts, texts: Texts): string[] {
  const running = rules.filter(({ grant }) => grant !== null && grant.shadow !== true);
  return [...new Set(running.map(({ kind }) => nameOf(kind, texts)))];
}

function list(items: readonly string[]): Html {
  return html`<ul>${items.map((item) => html`<li>${item}</li>`)}</ul>`;
}

/** Describes whether stills are sealed, to which keys, for how long, and how many were handed out. */
function sealedOf({ retention, sealedTo, months }: PublicFacts, texts: Texts): Html {
  if (retention.sealedDays === 0) return html``;
  const handedOut = months.reduce((sum, { unsealings }) => sum + unsealings, 0);
  const number = new Intl.NumberFormat(texts.locale).format(handedOut);
  return html`<p>${texts.sealed(retention.sealedDays, number, sealedTo.length)}</p>
${sealedTo.map((key) => html`<code>${key}</code>`)}`;
}

/** Describes whether tracks are stored, and on which legal basis. */
function tracksOf({ tracks }: PublicFacts, texts: Texts): Html {
  return html`<p>${tracks === null ? texts.tracks.none : texts.tracks.logText(tracks)}</p>`;
}

function authorityOf({ authorisation, timeZone }: PublicFacts, texts: Texts): Html {
  if (authorisation === null) return html`<p>${texts.noAuthorisation}</p>`;
  const day = new Intl.DateTimeFormat(texts.locale, { dateStyle: 'long', timeZone });
  const { authority, order, notBefore, notAfter, installation } = authorisation;
  const validity = texts.order(order, day.format(new Date(notBefore)), day.format(new Date(notAfter)));
  const installationNote = installation === true ? html`<p><strong>${texts.installation}</strong></p>` : '';
  return html`<p>${authority}. ${validity}</p>${installationNote}`;
}

function rulesOf(rules: readonly PublicRule[], texts: Texts): Html {
  if (rules.length === 0) return html`<p>${texts.nothingDetected}</p>`;
  const rows = rules.map(({ kind, place, grant }) => {
    const cells = html`<td>${nameOf(kind, texts)}${grant?.shadow === true ? html`<br><em>${texts.shadow}</em>` : ''}</td><td>${place}</td>`;
    if (grant === null) return html`<tr>${cells}<td colspan="2"><em>${texts.notAuthorised}</em></td></tr>`;
    return html`<tr>${cells}<td>${grant.purpose}</td><td>${grant.legalBasis}</td></tr>`;
  });
  return html`<table class="rules"><thead><tr>${texts.detectedHeads.map((head) => html`<th>${head}</th>`)}</tr></thead><tbody>${rows}</tbody></table>`;
}

function monthsOf(months: readonly MonthCounts[], texts: Texts): Html {
  const number = new Intl.NumberFormat(texts.locale);
  // The month's key no longer depends on a time zone.
  const name = new Intl.DateTimeFormat(texts.locale, { month: 'long', year: 'numeric', timeZone: 'UTC' });
  const [month, states, ...countHeads] = texts.countHeads;
  const rows = months.map(({ month: key, ratios, frames, framesAtLeast, ...counted }) => {
    const { alerts, searches, trackQuestions, unsealings } = counted;
    const labels = STATES.filter((mode) => ratios[mode] > 0).map((mode) =>
      ratioText(mode, ratios[mode], texts),
    );
    const bar = STATES.map(
      (mode) => html`<span class="${mode}-fill" style="width:${(100 * ratios[mode]).toFixed(2)}%"></span>`,
    );
    return html`<tr><td>${name.format(new Date(`${key}-01T00:00:00Z`))}</td>
<td><div class="bar" role="img" aria-label="${labels.join(', ')}" title="${labels.join(', ')}">${bar}</div></td>
<td class="figure">${framesAtLeast ? '≥ ' : ''}${number.format(frames)}</td>
${[alerts, searches, trackQuestions, unsealings].map((figure) => html`<td class="figure">${number.format(figure)}</td>`)}</tr>`;
  });
  const least = months.some(({ framesAtLeast }) => framesAtLeast);
  return html`<div class="legend">${STATES.map((mode) => html`<span><i class="${mode}-fill"></i>${texts.modes[mode].name}</span>`)}</div>
<div class="wide"><table class="months"><thead><tr><th>${month}</th><th>${states}</th>${countHeads.map((head) => html`<th class="figure">${head}</th>`)}</tr></thead><tbody>${rows}</tbody></table></div>
${least ? html`<p class="soft">${texts.atLeast}</p>` : ''}`;
}

function ratioText(mode: State, ratio: number, texts: Texts): string {
  const percent = new Intl.NumberFormat(texts.locale, { style: 'percent', maximumFractionDigits: 1 });
  return `${texts.modes[mode].name} ${percent.format(ratio)}`;
}
