/** English texts of the receipt screen. */
export const RECEIPT_EN = {
  intro:
    'The receipt names the installation, its authorisation, the final check and the head of the journal. It has one redacted still.',
  issue: 'Issue the receipt and send it to the control room',
  issueAgain: 'Issue a new receipt',
  issuing: 'The box is making the still…',
  notPassed: 'The final check has failures. The receipt will say so.',
  issuedAt: (time: string) => `Issued ${time}`,
  passed: { yes: 'Final check: PASS', no: 'Final check: FAIL' },
  delivered: 'The control room has it.',
  notDelivered: 'The box keeps it and sends it as soon as the control room answers. You may leave.',
  noStill: (reason: string) => `Without a still: ${reason}`,
  stillAlt: 'Redacted still of the installation',
  download: 'Download the receipt (PDF)',
  more: 'One more phone',
  moreGo: 'Create a new code',
  code: (code: string, minutes: number) => `${code} – valid once, for ${minutes} minutes`,
  leave: 'Sign out',
  leaveNote: 'Ends this phone’s session. The box keeps running.',
  leaveGo: 'Unpair this phone',
  sessionLeft: (clock: string) => `This session ends automatically in ${clock}.`,
  bye: 'This phone is no longer paired. You can close the page.',
};
