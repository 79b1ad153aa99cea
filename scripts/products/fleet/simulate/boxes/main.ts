/** Runs a part of the simulated boxes in a process of its own, and handles requests in sequence. */
import { type Answer, type Ask, Simulation } from '../world.ts';

let simulation: Simulation | undefined;

async function answer(ask: Ask): Promise<Answer> {
  const { n } = ask;
  if (ask.op === 'start') {
    simulation = new Simulation(ask.simulation);
    return { n, ...(await simulation.start()) };
  }
  if (simulation === undefined) throw new Error('a request came before the boxes were started');
  if (ask.op === 'advance') return { n, ...(await simulation.advance(ask.toMs)) };
  if (ask.op === 'settle') return { n, ...(await simulation.settle(new Map(ask.orders))) };
  if (ask.op === 'reconnect') return { n, ...(await simulation.reconnect()) };
  const truth = [...simulation.boxes].map(([id, { truth: is, online }]) => ({ id, ...is, online }));
  return { n, ...simulation.state(), truth };
}

let last = Promise.resolve();
process.on('message', (ask: Ask) => {
  last = last.then(async () => {
    process.send?.(await answer(ask));
  });
});
// Ends with its parent process.
process.once('disconnect', () => process.exit(0));
