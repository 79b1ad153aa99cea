/** Trial screen: the box runs with the draft until it is applied or rolled back. */
import { useEffect } from 'preact/hooks';
import { Button, Notice } from '../../../kit/controls.tsx';
import { changes, discard, problems, stale } from '../draft.ts';
import { TrialFate } from '../parts/trial-fate.tsx';
import type { Problem } from '../problems.ts';
import type { Screen } from '../screens.ts';
import { show, trial } from '../store.ts';
import { canTry, checkDraft, fate, inForce, lastReply, tryDraft, trying } from '../trial.ts';
import { words } from '../words/words.ts';

const FIX_SCREENS: Readonly<Record<Problem['about'], Screen>> = {
  zone: 'zones',
  line: 'zones',
  mask: 'zones',
  rule: 'rules',
  camera: 'camera',
  ground: 'aim',
};

export function TryScreen() {
  const texts = words.value.try;
  const blocking = problems.value.filter(({ blocks }) => blocks);
  const idle = trial.value === null;
  // Runs once, when the screen opens.
  useEffect(() => {
    lastReply.value = undefined;
    if (canTry.value) void checkDraft();
  }, []);
  return (
    <>
      {idle && <p>{texts.intro}</p>}
      <div aria-live="polite">
        <Outcome />
      </div>
      {idle && (
        <>
          <Changes />
          <Against list={blocking} title={texts.blocked} />
          <Against list={problems.value.filter(({ blocks }) => !blocks)} title={texts.warns} />
          {stale.value && <Notice tone="warn">{texts.stale}</Notice>}
          <BoxReply />
          <Button id="try" tone="main" disabled={!canTry.value} onClick={() => void tryDraft()}>
            {trying.value ? texts.trying : texts.go}
          </Button>
          {changes.value.length > 0 && (
            <Button id="discard" onClick={discard}>
              {texts.discard}
            </Button>
          )}
        </>
      )}
    </>
  );
}

function Outcome() {
  const texts = words.value.try;
  if (trial.value !== null)
    return (
      <Notice tone={inForce.value ? 'good' : 'info'}>{inForce.value ? texts.inForce : texts.notYet}</Notice>
    );
  return <TrialFate />;
}

function Changes() {
  const texts = words.value.try;
  if (changes.value.length === 0) return fate.value === undefined ? <p>{texts.nothing}</p> : null;
  return (
    <p id="changes">
      {texts.changes}: <strong>{changes.value.map((part) => texts.change[part]).join(', ')}</strong>
    </p>
  );
}

function Against({ list, title }: { readonly list: readonly Problem[]; readonly title: string }) {
  const { problems: problemTexts, try: texts } = words.value;
  if (list.length === 0) return null;
  return (
    <Notice tone={list.some(({ blocks }) => blocks) ? 'bad' : 'warn'}>
      <strong>{title}</strong>
      <ul>
        {list.map((problem) => (
          <li key={`${problem.about}/${problem.id}/${problem.code}`} data-problem={problem.code}>
            {problem.id !== '' && `${problem.id}: `}
            {problemTexts[problem.code]}{' '}
            <Button
              onClick={() => show(FIX_SCREENS[problem.about])}
              aria-label={`${texts.fix} ${problem.id}`}
            >
              {texts.fix}
            </Button>
          </li>
        ))}
      </ul>
    </Notice>
  );
}

/** Shows the box's own words, because the box has checked the whole configuration. */
function BoxReply() {
  const { refused: refusal, problems: boxProblems = [] } = lastReply.value ?? {};
  if ((refusal ?? null) === null && boxProblems.length === 0) return null;
  return (
    <Notice tone="bad" urgent>
      <strong>{words.value.try.boxSays}</strong>
      <ul id="box-says" lang="en">
        {typeof refusal === 'string' && <li>{refusal}</li>}
        {boxProblems.map(({ path, message }) => (
          <li key={`${path} ${message}`}>
            {path} {message}
          </li>
        ))}
      </ul>
    </Notice>
  );
}
