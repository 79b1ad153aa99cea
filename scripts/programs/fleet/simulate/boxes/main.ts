/** Runs a part of the simulated boxes in a process of its own, and handles requests in sequence. */
import type { Answer, Ask } from '../protocol.ts';
import { World } from '../world.ts';

let world: World | undefined;

async function answer(ask: Ask): Promise<Answer> {
  const { n } = ask;
  if (ask.what === 'start') {
    world = new World(ask.world);
    return { n, ...(await world.start()) };
  }
  if (world === undefined) throw new Error('the boxes are asked before they are there');
  if (ask.what === 'advance') return { n, ...(await world.advance(ask.toMs)) };
  if (ask.what === 'settle') return { n, ...(await world.settle(new Map(ask.orders))) };
  if (ask.what === 'reconnect') return { n, ...(await world.reconnect()) };
  const truth = [...world.boxes].map(([id, { truth: is, online }]) => ({ id, ...is, online }));
  return { n, ...world.state(), truth };
}

let last = Promise.resolve();
process.on('message', (ask: Ask) => {
  last = last.then(async () => {
    process.send?.(await answer(ask));
  });
});
// Ends with its parent process.
process.once('disconnect', () => process.exit(0));
