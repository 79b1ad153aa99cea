/**
 * Shows the redacted picture of an incident. For some kinds, one key changes between the pictures before the alert, when
 * the object appeared, and at the alert.
 */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { Button } from '../../../../../agent/kit/controls.tsx';
import type { IncidentDetail, Still } from '../../contract/incident.ts';
import { useKeys } from '../keys.ts';
import { noteSeen } from '../queue/seen-pictures.ts';
import { may } from '../session.ts';
import { plain } from '../words/plain.ts';
import { kindText } from '../words/sentence.ts';
import { siteClockText, siteTimeText, words } from '../words/words.ts';
import { Key, PictureDialog } from './picture-dialog.tsx';
import { useSpread } from './picture-hand.ts';

type Moment = Still['moment'];

/** Order in time. */
const ORDER: readonly Moment[] = ['before', 'deposit', 'snapshot'];

export function Pictures({ detail }: { readonly detail: IncidentDetail }) {
  const { incident: texts } = words.value;
  const { stills, stillAbsent } = detail;
  if (!may('see-still')) return <p class="no-picture">{texts.auditor}</p>;
  const orderedStills = ORDER.flatMap((moment) => stills.filter((still) => still.moment === moment));
  const newest = orderedStills.at(-1);
  if (newest === undefined) {
    return (
      <p class="no-picture clamp">
        {stillAbsent === null ? texts.noStill : texts.absent(plain(stillAbsent))}
      </p>
    );
  }
  return <Gallery detail={detail} stills={orderedStills} newest={newest} />;
}

interface GalleryProps {
  readonly detail: IncidentDetail;
  /** Sorted by time. */
  readonly stills: readonly Still[];
  readonly newest: Still;
}

function Gallery({ detail, stills, newest }: GalleryProps) {
  const { incident: texts } = words.value;
  const { incident, timeZone, location } = detail;
  const chosenMoment = useSignal<Moment>(newest.moment);
  /** Pictures that this person has seen; a picture is requested, and its viewing audited, when it is shown. */
  const loadedImages = useSignal<ReadonlyMap<string, HTMLImageElement>>(new Map());
  const broken = useSignal<ReadonlySet<string>>(new Set());
  const isFull = useSignal(false);
  const note = useSignal('');
  const button = useRef<HTMLButtonElement>(null);
  const still = stills.find(({ moment }) => moment === chosenMoment.value) ?? newest;
  const following = stills[(stills.indexOf(still) + 1) % stills.length] ?? still;
  const isVisible = still.isStored && !broken.value.has(keyOf(still));
  const choose = (moment: Moment): void => {
    note.value = '';
    chosenMoment.value = moment;
  };
  const next = (): void => {
    if (following === still) note.value = texts.onlyPicture;
    else choose(following.moment);
  };
  const open = (): void => {
    if (isVisible) isFull.value = true;
  };
  useKeys({ v: open, b: next });
  // The server asks for no view of a picture that it does not have.
  useEffect(() => {
    if (!newest.isStored) noteSeen(incident.no, newest.name);
  }, [incident.no, newest]);
  useSpread(button, isVisible, open);
  const altOf = ({ moment }: Still): string =>
    `${kindText(incident.kind, words.value)}, ${texts.moments[moment]}`;
  const urlOf = ({ moment }: Still): string => `/api/incidents/${incident.no}/stills/${moment}`;
  const mounted = stills.filter(
    (one) =>
      one.isStored && !broken.value.has(keyOf(one)) && (one === still || loadedImages.value.has(keyOf(one))),
  );
  return (
    <section class="gallery" aria-label={texts.pictures}>
      <div class="gallery-bar">
        {stills.length === 1 ? (
          <MomentText still={still} timeZone={timeZone} hasZone />
        ) : (
          <div class="moments">
            {stills.map((one) => (
              <button
                key={one.moment}
                type="button"
                class={`small ${one.moment}`}
                aria-pressed={one === still}
                onClick={() => choose(one.moment)}
              >
                <MomentText still={one} timeZone={timeZone} hasZone={one === still} />
                {one === following && <Key name="b" />}
              </button>
            ))}
          </div>
        )}
      </div>
      {isVisible ? (
        <div class="picture-frame">
          <button
            ref={button}
            type="button"
            class={`pictures ${still.moment}`}
            title={texts.fullSize}
            onClick={open}
          >
            {mounted.map((one) => (
              <img
                key={keyOf(one)}
                src={urlOf(one)}
                alt={altOf(one)}
                hidden={one !== still}
                onLoad={({ currentTarget }) => {
                  loadedImages.value = new Map([...loadedImages.value, [keyOf(one), currentTarget]]);
                  noteSeen(incident.no, one.name);
                }}
                onError={() => {
                  broken.value = new Set([...broken.value, keyOf(one)]);
                }}
              />
            ))}
          </button>
          <Button id="full-size" aria-keyshortcuts="v" onClick={open}>
            {texts.fullSize} <Key name="v" />
          </Button>
        </div>
      ) : (
        <p class="no-picture">{still.isStored ? texts.broken : texts.coming}</p>
      )}
      <p class="quiet picture-note" role="status">
        {note.value}
      </p>
      <p class="quiet gallery-about">
        {texts.redacted} {texts.onRecord}
      </p>
      {isFull.value && isVisible && (
        <PictureDialog
          image={loadedImages.value.get(keyOf(still))}
          alt={altOf(still)}
          title={momentText(still, timeZone)}
          centre={centreOf(location)}
          nextTitle={following === still ? undefined : texts.moments[following.moment]}
          note={note.value}
          onNext={next}
          onClose={() => {
            isFull.value = false;
            note.value = '';
          }}
        />
      )}
    </section>
  );
}

const keyOf = ({ moment, sha256 }: Still): string => `${moment} ${sha256}`;

function centreOf(location: IncidentDetail['location']) {
  if (location === null) return undefined;
  const [x1 = 0, y1 = 0, x2 = 1, y2 = 1] = location;
  return { x: (x1 + x2) / 2, y: (y1 + y2) / 2 };
}

function momentText({ moment, time }: Still, timeZone: string | null): string {
  return `${words.value.incident.moments[moment]} ${siteTimeText(time, timeZone)}`;
}

interface MomentTextProps {
  readonly still: Still;
  /** Time zone of the site. */
  readonly timeZone: string | null;
  readonly hasZone: boolean;
}

function MomentText({ still: { moment, time }, timeZone, hasZone }: MomentTextProps) {
  return (
    <span>
      <b class="moment">{words.value.incident.moments[moment]}</b>{' '}
      {hasZone ? siteTimeText(time, timeZone) : siteClockText(time, timeZone)}
    </span>
  );
}
