/** Entry point of the technician's page on a phone. */
import { render } from 'preact';
import { startDraft } from './draft.ts';
import { Frame } from './parts/frame.tsx';
import { startPreview } from './preview.ts';
import { takeCode } from './setup-code.ts';
import { start } from './store.ts';
import { startTrial } from './trial.ts';
import { startCues } from './walk-cues.ts';

const root = document.getElementById('app');
if (root === null) throw new Error('index.html: the element #app is missing');
takeCode();
startDraft();
startTrial();
startPreview();
startCues();
render(<Frame />, root);
void start();
