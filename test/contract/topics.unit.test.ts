/** Tests that a box replies only below its own name and in one level, whatever response topic a request names. */
import fc from 'fast-check';
import t from 'tap';
import { topicsOf } from '../../agent/contract/topics.ts';
import { anyCharacter } from '../lib/characters.ts';
import { SEED } from '../lib/random.ts';

t.comment(`seed ${SEED} (VIGIE_TEST_SEED)`);

const { root, replyTo } = topicsOf('lyon', 'b-1');

void t.test('a response topic is accepted only below the box’s own name, in one level', async (t) => {
  t.equal(replyTo('vigie/lyon/b-1/reply/Ab_9-'), `${root}/reply/Ab_9-`);
  t.equal(replyTo('vigie/lyon/all/reply/x'), `${root}/reply/x`, 'asked of all, answered below its own name');
  const wrong = [
    ...'+#.',
    '',
    'x/',
    '/x',
    'x/y',
    '..',
    'x ',
    'x\n',
    'x\0',
    '\u0445',
    'x%2fy',
    '$share',
    'x'.repeat(65),
  ];
  for (const token of wrong)
    t.equal(replyTo(`vigie/lyon/b-1/reply/${token}`), undefined, JSON.stringify(token));
  const otherRoots = [
    'vigie/lyon/b-2',
    'vigie/paris/b-1',
    '$share/x/vigie/lyon/b-1',
    '/vigie/lyon/b-1',
    'vigie//b-1',
  ];
  for (const start of otherRoots) t.equal(replyTo(`${start}/reply/x`), undefined, start);
  const own = ['vigie', 'lyon', 'b-1', 'all', 'reply'];
  const level = fc.constantFrom(...own, 'b-2', '+', '#', '', '..', 'x', '$share', '\u0445');
  const topic = fc.array(level, { maxLength: 7 }).map((levels) => levels.join('/'));
  const inside = fc.property(fc.oneof(topic, fc.string({ unit: anyCharacter })), (responseTopic) => {
    const answer = replyTo(responseTopic);
    return answer === undefined || /^vigie\/lyon\/b-1\/reply\/[A-Za-z0-9_-]{1,64}$/.test(answer);
  });
  t.doesNotThrow(() => fc.assert(inside, { seed: SEED, numRuns: 5000 }));
});
