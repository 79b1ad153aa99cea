/** Question before a verdict without looking. Its answers cannot be given by mistake, since the picture has the focus. */
import { Button } from '../../../../../agent/kit/controls.tsx';
import { type Judgement, judge, unlooked } from '../looking.ts';
import { isSeen } from '../queue/seen-pictures.ts';
import { reveal } from '../queue/store.ts';
import { go, openNo } from '../router.ts';
import { words } from '../words/words.ts';
import { Dialog } from './dialogs.tsx';

export function LookDialog() {
  const judgement = unlooked.value;
  return judgement === undefined ? null : <Question judgement={judgement} />;
}

function Question({ judgement }: { readonly judgement: Judgement }) {
  const { look, verdicts } = words.value;
  const { incidents, verdict } = judgement;
  const unseen = incidents.filter((incident) => !isSeen(incident));
  const [first] = unseen;
  const close = (): void => {
    unlooked.value = undefined;
  };
  return (
    <Dialog title={look.title} onClose={close}>
      <p>{incidents.length === 1 ? look.one : look.several(unseen.length, incidents.length)}</p>
      <p class="quiet">{look.audited}</p>
      <div class="answers">
        <Button onClick={close}>{look.no}</Button>
        <Button
          id="judge-unseen"
          onClick={() => {
            close();
            void judge({ ...judgement, withoutLooking: true });
          }}
        >
          {look.yes(verdicts[verdict])}
        </Button>
        <Button
          tone="main"
          autofocus
          onClick={() => {
            close();
            if (first === undefined) return;
            reveal(first.no);
            go(`/incidents/${first.no}`, { replaces: openNo.value !== undefined });
          }}
        >
          {look.open}
        </Button>
      </div>
    </Dialog>
  );
}
