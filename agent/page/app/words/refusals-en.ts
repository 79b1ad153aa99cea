/** English texts of refusals, and of acts that have not reached the box. */
import type { ActKind } from '../act-kinds.ts';

/** Refusals of the server that need more than its English line. */
export const EN_ERRORS: Record<string, string> = {
  unreachable: 'The box does not answer. Is the phone still connected to it?',
  unpaired: 'This phone is no longer paired. It needs a new code.',
  busy: 'Another person is changing the box. Wait a moment.',
  bad: 'The box could not read the request.',
  'too-many': 'The phone asks too often. Wait a second.',
  'too-many-requests': 'The phone asks too often. Wait a second.',
  unavailable: 'A part of the box does not answer. Try again in a moment.',
  unreadable: 'The answer of a part of the box could not be read.',
  denied: 'The box refused the values.',
  failed: 'The box could not do that.',
  'walk-runs': 'A walk test is already running.',
  'not-started': 'No walk test is running.',
  'not-waiting': 'A pass is running: wait for its end.',
  'nothing-to-repeat': 'No pass has been done yet.',
  'no-such-rule': 'This rule does not run on the box.',
  'rule-unauthorised': 'The authorisation does not allow this rule now, so it does not run.',
  shadow: 'This rule is counted only and raises no alert, so it cannot be walked.',
  off: 'The rule’s schedule is off at this time.',
  'receipt-waits': 'A receipt is being made already.',
  'too-often': 'That was requested too often. Try again in a few minutes.',
  'not-confirmed': 'The box could not take this view as its reference.',
};

export const EN_UNSENT = {
  title: 'Not sent yet:',
  note: 'The page sends it when the box answers.',
  clear: 'Do not send',
  acts: {
    try: 'Test',
    keep: 'Apply',
    revert: 'Roll back now',
    'walk-start': 'Start of the walk test',
    'walk-answer': 'Answer in the walk test',
    'confirm-view': 'Confirmation of the view',
  } satisfies Record<ActKind, string>,
};
