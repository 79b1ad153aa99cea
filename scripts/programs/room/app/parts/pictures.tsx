/**
 * Shows the redacted pictures of an incident: at the alert, and for some kinds also before and when the object
 * appeared.
 */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { IncidentDetail, Still } from '../../contract/incident.ts';
import { noteSeen } from '../queue/seen-pictures.ts';
import { may } from '../session.ts';
import { plain } from '../words/plain.ts';
import { kindText } from '../words/sentence.ts';
import { siteTimeText, words } from '../words/words.ts';

const ORDER: readonly Still['moment'][] = ['before', 'deposit', 'snapshot'];

export function Pictures({ detail }: { readonly detail: IncidentDetail }) {
  const { incident: texts } = words.value;
  const { incident, stills, stillAbsent, timeZone } = detail;
  if (!may('see-still')) return <p class="no-picture">{texts.auditor}</p>;
  const orderedStills = ORDER.flatMap((moment) => stills.filter((still) => still.moment === moment));
  if (orderedStills.length === 0) {
    return (
      <p class="no-picture clamp">
        {stillAbsent === null ? texts.noStill : texts.absent(plain(stillAbsent))}
      </p>
    );
  }
  return (
    <section aria-label={texts.pictures}>
      <div class={`pictures of-${orderedStills.length}`}>
        {orderedStills.map((still) => (
          <Picture
            key={still.sha256}
            no={incident.no}
            kind={incident.kind}
            still={still}
            timeZone={timeZone}
          />
        ))}
      </div>
      <p class="quiet">
        {texts.redacted} {texts.onRecord}
      </p>
    </section>
  );
}

interface PictureProps {
  readonly no: number;
  readonly kind: string;
  readonly still: Still;
  /** Time zone of the site. */
  readonly timeZone: string | null;
}

function Picture({ no, kind, still, timeZone }: PictureProps) {
  const { incident: texts } = words.value;
  const isBroken = useSignal(false);
  const title = texts.moments[still.moment];
  // The server asks for no look at a picture that it does not have.
  useEffect(() => {
    if (!still.isStored) noteSeen(no, still.name);
  }, [no, still]);
  return (
    <figure class={still.moment}>
      {still.isStored && !isBroken.value ? (
        <img
          src={`/api/incidents/${no}/stills/${still.moment}`}
          alt={`${kindText(kind, words.value)}, ${title}`}
          onLoad={() => noteSeen(no, still.name)}
          onError={() => {
            isBroken.value = true;
          }}
        />
      ) : (
        <p class="no-picture">{still.isStored ? texts.broken : texts.coming}</p>
      )}
      <figcaption>
        <b class="moment">{title}</b> {siteTimeText(still.time, timeZone)}
      </figcaption>
    </figure>
  );
}
