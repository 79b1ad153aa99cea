/** Shows, before a verdict, the notes that others have written since this person looked. It refuses nothing. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { Button } from '../../../../../agent/kit/controls.tsx';
import type { Note, NotePage } from '../../contract/incident.ts';
import { explain } from '../acts.ts';
import { get } from '../api.ts';
import { type Judgement, judge, unread } from '../looking.ts';
import { isRead, lastReadOf, noteRead } from '../queue/read-notes.ts';
import { words } from '../words/words.ts';
import { NoteItems } from './context.tsx';
import { Dialog } from './dialogs.tsx';

/** Incidents of a verdict whose notes are shown; of more, only the number is. */
const SHOWN_MAX = 5;

export function NotesDialog() {
  const judgement = unread.value;
  return judgement === undefined ? null : <Question judgement={judgement} />;
}

interface Unread {
  readonly no: number;
  readonly notes: readonly Note[];
}

function Question({ judgement }: { readonly judgement: Judgement }) {
  const { notesFirst: texts, verdicts, incident: incidentTexts } = words.value;
  const loaded = useSignal<readonly Unread[] | undefined>(undefined);
  const problem = useSignal<string | undefined>(undefined);
  const noted = judgement.incidents.filter((incident) => !isRead(incident));
  useEffect(() => {
    const load = noted.slice(0, SHOWN_MAX).map(async (incident): Promise<Unread> => {
      const { notes } = await get<NotePage>(`/api/incidents/${incident.no}/notes`);
      return { no: incident.no, notes: notes.filter((note) => note.no > lastReadOf(incident)) };
    });
    Promise.all(load).then(
      (lists) => {
        loaded.value = lists;
      },
      (error: unknown) => {
        problem.value = explain(error);
      },
    );
  }, [judgement]);
  const close = (): void => {
    unread.value = undefined;
  };
  return (
    <Dialog title={texts.title} onClose={close}>
      {problem.value !== undefined && <p>{problem.value}</p>}
      {loaded.value?.map(({ no, notes }) => (
        <section key={no}>
          <h3>{incidentTexts.number(no)}</h3>
          <NoteItems notes={notes} timeZone={null} />
        </section>
      ))}
      {noted.length > SHOWN_MAX && <p>{texts.more(noted.length - SHOWN_MAX)}</p>}
      <div class="answers">
        <Button autofocus onClick={close}>
          {texts.no}
        </Button>
        <Button
          id="judge-noted"
          disabled={loaded.value === undefined}
          onClick={() => {
            for (const incident of noted) noteRead(incident);
            close();
            void judge(judgement);
          }}
        >
          {verdicts[judgement.verdict]}
        </Button>
      </div>
    </Dialog>
  );
}
