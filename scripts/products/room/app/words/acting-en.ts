/** English texts of undo, of bulk verdicts and of verdicts without looking or with unread notes. */
export const ACTING_EN = {
  look: {
    title: 'Give a verdict without looking?',
    one: 'You have not opened the picture of this incident in this tab.',
    several: (unseen: number, all: number) =>
      `You have not opened the pictures of ${unseen} of the ${all} selected incidents.`,
    audited: 'The audit log marks a verdict without looking.',
    open: 'Open the picture',
    yes: (verdict: string) => `Without looking: ${verdict}`,
    no: 'Cancel',
    refused: 'the picture has not been opened',
  },
  notesFirst: {
    title: 'Notes that you have not read',
    more: (count: number) => `Further incidents with such notes: ${count}.`,
    no: 'Cancel',
  },
  bulk: {
    bar: 'Actions on the selection',
    selected: (count: number) => `${count} selected`,
    unseen: (count: number) => `(${count} unseen)`,
    full: 'One verdict takes no more.',
    clear: 'Deselect all',
    leave: 'Leave them',
    done: (count: number, verdict: string) =>
      count === 1 ? `Closed as ${verdict}: 1 incident.` : `Closed as ${verdict}: ${count} incidents.`,
    refused: (refused: number, all: number, first: string) =>
      `Not closed: ${refused} of ${all}, see their rows. ${first}`,
  },
  undo: {
    byKey: 'Undo (z)',
    hint: (seconds: number) => `Undo with z within ${seconds} s.`,
    done: (action: string) => `Undone. ${action}`,
    nothing: 'There is nothing to undo.',
    over: 'the time for it is over.',
    refused: (reason: string) => `Not undone: ${reason}`,
    partly: (count: number, reason: string) => `Not undone: ${count} of the actions. ${reason}`,
  },
};
export type ActingWords = typeof ACTING_EN;
