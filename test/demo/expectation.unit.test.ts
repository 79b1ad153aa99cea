/** Tests what the demo says about the first alert: when it comes, and why none can. */
import t from 'tap';
import type { VigieEvent } from '../../agent/contract/event.ts';
import { expectationLine, Hindrances } from '../../scripts/programs/demo/expectation.ts';
import { configOf } from '../lib/agent.ts';

const config = configOf({
  site: 'paris',
  box: 'b-1',
  camera: { source: 'test:pattern' },
  mqtt: { url: 'mqtt://localhost' },
  zones: [
    {
      id: 'lawn',
      polygon: [
        [0, 0],
        [1, 0],
        [1, 1],
      ],
    },
  ],
  rules: [{ id: 'stay', kind: 'loitering', zone: 'lawn', afterS: 3, purpose: 'demo' }],
});

const event = (kind: string, phase: string, reason?: string, severity = 'system'): VigieEvent =>
  ({
    data: { episode: kind, severity, phase, rule: { kind }, cause: reason === undefined ? {} : { reason } },
  }) as unknown as VigieEvent;

t.test('the demo says when its clip alerts, and for a camera which rules do', async (t) => {
  t.match(expectationLine(config, true), /^First alert in about \d+ s$/);
  t.equal(expectationLine(config, false), 'An alert comes when a rule is broken: loitering in lawn');
});

t.test('whatever keeps alerts away is said once, with its reason, and its end too', async (t) => {
  const lines: string[] = [];
  const hindrances = new Hindrances((line) => lines.push(line));
  hindrances.take(event('loitering', 'start', 'there', 'alert'));
  hindrances.take(event('load-shed', 'start', 'too slow'));
  t.same(lines, [], 'nothing keeps alerts away');
  hindrances.take(event('unauthorised', 'start', 'authorityKey can be changed by others'));
  hindrances.take(event('unauthorised', 'update'));
  hindrances.take(event('stream-lost', 'start', 'does not answer'));
  t.match(lines, [
    /^NO ALERT CAN COME: no valid authorisation.*: authorityKey can be changed by others$/,
    /^NO ALERT CAN COME: the camera’s stream is lost: does not answer$/,
  ]);
  hindrances.take(event('unauthorised', 'end'));
  t.equal(lines.length, 2, 'the stream is still lost');
  hindrances.take(event('stream-lost', 'end'));
  t.equal(lines.at(-1), 'Alerts can come again.');
  for (const kind of ['suspended', 'detector-down', 'vision-failed', 'covered']) {
    hindrances.take(event(kind, 'start'));
    t.match(lines.at(-1), /^NO ALERT CAN COME: /, kind);
  }
});
