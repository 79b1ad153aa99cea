/** `vigie-oversight witness`: an independent witness that cosigns each box's journal as long as it is append-only. */
import { readFileSync } from 'node:fs';
import { systemClock } from '../../../../agent/base/clock.ts';
import { AgentError, messageOf } from '../../../../agent/base/errors.ts';
import { print, printNote } from '../../../../agent/cli/print.ts';
import { reading } from '../../../../agent/cli/reading.ts';
import { type RoomOptions, roomOf } from '../../../lib/room-link/room-file.ts';
import { WitnessLink } from './link.ts';
import { type Assessment, Witness } from './witness.ts';

export interface WitnessOptions extends Partial<RoomOptions> {
  readonly dir: string;
  readonly keys: string;
  readonly name: string;
}

/** Returns the exit code; 1 if there was an alarm. */
export async function attend(journals: readonly string[], options: WitnessOptions): Promise<number> {
  const { room, name, dir, keys: file } = options;
  if ((room === undefined) === (journals.length === 0)) {
    throw new AgentError('config', 'name journals, or --room for all journals of a site; not both');
  }
  if (!/^[^\s+]{1,100}$/.test(name)) {
    throw new AgentError(
      'config',
      `--name: "${name}" is not valid; use 1 to 100 characters without blanks and +`,
    );
  }
  const keys = reading(file, () => readFileSync(file, 'utf8'));
  const witness = reading(dir, () => new Witness({ dir, name, keys, wallMs: () => systemClock.wallMs() }));
  print(`key of this witness: ${witness.vkey}`);
  const telling = new Telling();
  if (room === undefined) {
    for (const place of journals) {
      const { origin, assessment } = reading(place, () => witness.journal(place));
      telling.assessment(origin, assessment);
    }
  } else {
    await attendRoom(witness, { ...options, room }, telling);
  }
  return telling.alarms > 0 ? 1 : 0;
}

async function attendRoom(witness: Witness, options: RoomOptions, telling: Telling): Promise<void> {
  const { site, mqtt } = roomOf(options);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const link = new WitnessLink({
    config: mqtt,
    site,
    clock: systemClock,
    onConnected: () => telling.line(`listening to the boxes of ${site}`),
    onError: (error) => telling.problem(error.message),
    onProvenHead: (box, text) => {
      const origin = `vigie/${site}/${box}`;
      try {
        const assessment = witness.assess(origin, text);
        telling.assessment(origin, assessment);
        if (assessment.is !== 'alarm') link.tell(box, assessment.note);
      } catch (error) {
        // This machine's disk refused: nothing was cosigned, and the next head tries again.
        telling.problem(`${origin}: ${messageOf(error)}`);
      }
    },
  });
  await link.run(stop.signal);
}

class Telling {
  alarms = 0;

  assessment(origin: string, assessment: Assessment): void {
    switch (assessment.is) {
      case 'cosigned':
        this.line(`${origin}: cosigned ${assessment.size} entries, ${assessment.more} more than before`);
        return;
      case 'known':
        this.line(`${origin}: nothing new, ${assessment.size} entries`);
        return;
      case 'elsewhere':
        this.line(`${origin}: asked for the proof that it continues ${assessment.size} entries`);
        return;
      case 'alarm':
        this.alarms += 1;
        printNote(`ALARM ${now()} ${origin}: ${assessment.message}`);
    }
  }

  line(text: string): void {
    print(`${now()} ${text}`);
  }

  problem(text: string): void {
    printNote(`${now()} ${text}`);
  }
}

const now = (): string => new Date(systemClock.wallMs()).toISOString();
