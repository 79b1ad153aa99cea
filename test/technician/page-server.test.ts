/** Tests that no page can harm the agent through its socket: floods, rubbish, too many connections, a deaf reader. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { systemClock } from '../../agent/base/clock.ts';
import { encodePagePicture } from '../../agent/contract/page-frames.ts';
import { PageServer } from '../../agent/technician/page-server.ts';
import type { Screen } from '../../agent/technician/preview.ts';
import { picture, SILENT } from '../lib/outbox.ts';
import { Page } from '../lib/page-asking.ts';
import { scratch } from '../lib/paths.ts';
import { waitUntil } from '../lib/room.ts';

/** Serves pages that get no answer, and notes what the agent hears of them. */
async function served(t: Test, socket: string) {
  const calls = { count: 0, closed: 0, screen: undefined as Screen | undefined };
  const server = new PageServer({
    socket,
    mode: 0o600,
    clock: systemClock,
    log: SILENT,
    ask: (_message, screen) => {
      calls.count += 1;
      calls.screen = screen;
    },
    onScreenClosed: () => {
      calls.closed += 1;
    },
  });
  await server.start();
  t.teardown(() => server.stop());
  return { server, calls, socket };
}

void t.test('a flood of requests is refused, and reaches the agent at its rate only', async (t) => {
  const { server, calls, socket } = await served(t, join(scratch(t), 'page.sock'));
  const page = await Page.connect(t, socket);
  page.flood({ op: 'state', language: 'fr' }, 10_000);
  await waitUntil(t, 'refusals', () => page.answers.size > 100);
  t.match([...page.answers.values()][0], { refused: { code: 'too-many' }, state: null });
  t.ok(Number(server.counters['page_limited']) >= 100);
  t.ok(calls.count < 200, `${calls.count} of 10,000`);
});

void t.test('rubbish and a third page end their own connection only', async (t) => {
  const { server, calls, socket } = await served(t, join(scratch(t), 'page.sock'));
  for (const bytes of [randomBytes(4096), Buffer.from([0, 0x10, 0, 0])]) {
    const page = await Page.connect(t, socket);
    page.socket.write(bytes);
    await waitUntil(t, 'its connection ends', () => page.closed);
  }
  await waitUntil(t, 'the agent knows', () => calls.closed === 2);
  t.equal(calls.count, 0, 'with no other effect');
  const two = [await Page.connect(t, socket), await Page.connect(t, socket)];
  const third = await Page.connect(t, socket);
  await waitUntil(t, 'a third connection ends', () => third.closed);
  t.same(
    two.map(({ closed }) => closed),
    [false, false],
  );
  t.match(server.counters, { page_refused: 3 });
});

void t.test('a page that does not read gets no queue of pictures', async (t) => {
  const { calls, socket } = await served(t, join(scratch(t), 'page.sock'));
  const page = await Page.connect(t, socket);
  page.flood({ op: 'state', language: 'fr' }, 1);
  await waitUntil(t, 'it was calls', () => calls.screen !== undefined);
  page.socket.pause();
  const encoded = encodePagePicture(picture(100_000), []);
  let sentCount = 0;
  for (let count = 0; count < 100; count += 1) {
    if (calls.screen?.show(encoded) === true) sentCount += 1;
    await sleep(1);
  }
  t.ok(sentCount > 0 && sentCount < 20, `${sentCount} of 100 were sent`);
  page.socket.resume();
  await waitUntil(t, 'those arrive', () => page.pictures.length === sentCount);
});

void t.test('the agent runs on where it cannot listen', async (t) => {
  const { server } = await served(t, join(scratch(t), 'no/such/page.sock'));
  t.match(server.counters, { page_unserved: { gauge: 1 } });
});
