/** Tests the lines of the demo that say what to try. */
import t from 'tap';
import { tryLines } from '../../scripts/programs/demo/try-lines.ts';

/** Columns of a terminal that shows each line whole, after an indent of nine. */
const COLUMNS_MAX = 120 - 9;

t.test('at most eight lines say what to try, and promise only what the camera gives', (t) => {
  const own = tryLines({ tracks: 1091, isOwnClip: true });
  const camera = tryLines({ tracks: undefined, isOwnClip: false });
  for (const lines of [own, camera]) {
    t.ok(lines.length <= 8, `${lines.length} lines`);
    for (const line of lines) t.ok(line.length <= COLUMNS_MAX, line);
  }
  t.match(own.join('\n'), /closes 4 as examples.*1091 tracks.*two people/s);
  t.notMatch(camera.join('\n'), /examples|tracks|two people|storm/);
  t.end();
});
