/** Shapes that show a state without relying on colour. The state is also given as visible or spoken text. */
import type { JSX } from 'preact';
import type { Incident } from '../../contract/incident.ts';
import type { Link } from '../stream.ts';
import { words } from '../words/words.ts';

const CHECK = <path d="M4.5 10.5l3.6 3.6 7.4-8.2" class="drawn" />;
const CROSS = <path d="M5.5 5.5l9 9m0-9l-9 9" class="drawn" />;
const ASK = <path d="M7 7.2a3 3 0 1 1 4.6 2.6c-1 .6-1.6 1.2-1.6 2.4M10 15.4v.2" class="drawn" />;

function shapeOf({ state, verdict }: Incident, isLate: boolean): JSX.Element {
  if (state === 'closed') return verdict === 'confirmed' ? CHECK : verdict === 'false-alarm' ? CROSS : ASK;
  if (state === 'dispatched') return <path d="M3 4l8 6-8 6zM11 4l7 6-7 6z" class="filled" />;
  if (state === 'claimed') {
    return (
      <>
        <circle cx="10" cy="10" r="7" class="drawn" />
        <path d="M10 3a7 7 0 0 1 0 14z" class="filled" />
      </>
    );
  }
  if (!isLate) return <circle cx="10" cy="10" r="6.5" class="filled" />;
  return (
    <>
      <path d="M10 1.5l9 16.5H1z" class="filled" />
      <path d="M10 7.5v5m0 2.6v.2" class="cut" />
    </>
  );
}

export function stateText({ state, verdict, closedReason }: Incident, isLate: boolean): string {
  const { states, verdicts, escalated, incident } = words.value;
  if (closedReason !== null) return `${states.closed}, ${incident.closedBriefly[closedReason]}`;
  if (state === 'closed' && verdict !== null) return `${states.closed}, ${verdicts[verdict]}`;
  return isLate && state === 'new' ? escalated : states[state];
}

interface MarkProps {
  readonly incident: Incident;
  readonly isLate: boolean;
}

export function Mark({ incident, isLate }: MarkProps) {
  const { state, priority } = incident;
  return (
    <svg class={`mark ${state} p${priority}${isLate ? ' late' : ''}`} viewBox="0 0 20 20" aria-hidden="true">
      {shapeOf(incident, isLate)}
    </svg>
  );
}

const LINKS: Readonly<Record<Link, JSX.Element>> = {
  live: <circle cx="10" cy="10" r="6" class="filled" />,
  connecting: <circle cx="10" cy="10" r="6" class="drawn" />,
  unavailable: <path d="M10 2l8 8-8 8-8-8z" class="filled" />,
  disconnected: CROSS,
};

export function LinkMark({ link }: { readonly link: Link }) {
  return (
    <svg class={`mark link-${link}`} viewBox="0 0 20 20" aria-hidden="true">
      {LINKS[link]}
    </svg>
  );
}
