/** English texts of suppressions and patrols. */
import type { PatrolAnswer } from '../../contract/terms.ts';

const answers: Readonly<Record<PatrolAnswer, string>> = {
  accepted: 'Accepted, on its way',
  declined: 'Declined',
  arrived: 'Arrived',
};
const answered: Readonly<Record<PatrolAnswer, string>> = {
  accepted: 'on its way',
  declined: 'declined',
  arrived: 'arrived',
};

export const DUTY_EN = {
  suppression: {
    strip: 'Suppressed',
    title: 'Suppress for one hour?',
    subject: 'Suppress',
    column: 'Rule or camera',
    none: 'No rule was suppressed.',
    begin: 'From',
    endTime: 'Until',
    reasonColumn: 'Reason',
    account: 'By',
    incidents: 'Incidents',
    countHint: 'alerts that arrived while their rule or camera was suppressed',
    wholeCamera: 'whole camera',
    reason: 'Reason, shown to everyone',
    about:
      'New incidents stay out of the queue for one hour. Everything is still stored and counted. Priority 1 is never suppressed.',
    yes: 'Suppress',
    no: 'Cancel',
    until: (time: string) => `until ${time}`,
    count: (count: number) => `${count} suppressed`,
    listedOf: (listed: number, all: number) => `The newest ${listed} of ${all}.`,
    end: 'End',
    endName: (subject: string) => `End the suppression of ${subject}`,
    done: (subject: string) => `Suppressed for one hour: ${subject}.`,
    ended: (subject: string) => `Suppression ended: ${subject}.`,
    notice: (until: string) =>
      until === ''
        ? 'Suppressed: this incident is not in the queue.'
        : `Suppressed until ${until}: this incident is not in the queue.`,
  },
  patrol: {
    title: 'Dispatch a patrol',
    list: 'Patrols and answers',
    answerTitle: (patrol: string) => `Answer of ${patrol}`,
    answers,
    answered,
    unanswered: 'no answer yet',
    unnamed: 'Another patrol, not named',
    otherSite: 'other site',
    busy: (open: number) => `dispatched to ${open}`,
    keys: 'Press a digit, or choose with the arrows and Enter.',
    no: 'Cancel',
    name: 'Patrol',
    arrival: 'Time to arrival',
    arrivalHint: 'mean, from the dispatch to the arrival of the patrol',
    dispatched: (patrol: string, incidentName: string) => `${patrol} dispatched: ${incidentName}.`,
    reported: (patrol: string, answer: string) => `${patrol}: ${answer}.`,
  },
};
export type DutyWords = typeof DUTY_EN;
