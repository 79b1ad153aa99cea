/** Command line of `scripts/room metrics`: exports metrics of all boxes for Prometheus. See docs/guide/fleet-metrics.md. */
import { AgentError } from '../../../../agent/base/errors.ts';
import { printableLine } from '../../../../agent/base/printable.ts';
import { integerUpTo } from '../../../../agent/cli/commands/options.ts';
import { typedProgram } from '../../../lib/typed-program.ts';
import { Boxes } from './boxes.ts';
import { Broker } from './broker.ts';
import { metricsPage } from './families.ts';
import { MetricsServer } from './server.ts';

const DAY_MS = 86_400_000;

interface Arguments {
  readonly broker: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly host: string;
  readonly port: number;
  readonly boxes: number;
  readonly forgetDays: number;
}

const say = (line: string): void => void process.stdout.write(`${printableLine(line)}\n`);
const warn = (line: string): void => void process.stderr.write(`room: ${printableLine(line)}\n`);

async function run({ broker: url, ca, cert, key, ...options }: Arguments): Promise<void> {
  const protocol = URL.canParse(url) ? new URL(url).protocol : undefined;
  if (protocol !== 'mqtt:' && protocol !== 'mqtts:') {
    throw new AgentError('config', `--broker takes mqtts://host:port (or mqtt:// on this machine)`);
  }
  if (protocol === 'mqtts:' && (ca === undefined || cert === undefined || key === undefined)) {
    throw new AgentError('config', 'mqtts:// needs --ca, --cert and --key');
  }
  const files = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
  const boxes = new Boxes({ boxesMax: options.boxes, forgetMs: options.forgetDays * DAY_MS });
  const broker = new Broker({
    config: { url, ack: 'broker', ...files },
    onMessage: (topic, payload, retained) => boxes.take(topic, payload, retained, Date.now()),
    onNotice: warn,
  });
  const server: MetricsServer = new MetricsServer(() =>
    metricsPage({
      boxes,
      connected: broker.connected,
      retainedMessages: broker.retainedMessages,
      connections: broker.connections,
      memory: process.memoryUsage.rss(),
      displaced: server.displacedCount,
      nowMs: Date.now(),
    }),
  );
  const address = await server.start(options.host, options.port);
  const stopSignal = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  try {
    broker.start();
    say(`Metrics of the boxes on ${address}; Ctrl-C ends it`);
    await stopSignal;
  } finally {
    await Promise.all([broker.stop(), server.stop()]);
  }
}

const program = typedProgram('room metrics')
  .description(
    'Exports the state of all boxes for Prometheus: reads their reports from the broker. See docs/guide/fleet-metrics.md.',
  )
  .requiredOption('--broker <url>', 'mqtts://host:port; mqtt:// for a broker on this machine')
  .option('--ca <file>', 'certificate of the broker’s authority (PEM)')
  .option('--cert <file>', 'certificate of this program (PEM)')
  .option('--key <file>', 'its key (PEM)')
  .option('--host <address>', 'address to listen on', '127.0.0.1')
  .option('--port <number>', 'TCP port; 0 for any', integerUpTo(65_535, 0), 9465)
  .option(
    '--boxes <number>',
    'maximum number of boxes to track; further ones are only counted',
    integerUpTo(100_000),
    5000,
  )
  .option(
    '--forget-days <number>',
    'days after which an offline, silent box is left out and counted',
    integerUpTo(3650),
    30,
  )
  .action(run);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof AgentError) || error.kind === 'bug') throw error;
  warn(`${error.message} (see --help)`);
  process.exitCode = error.kind === 'config' ? 2 : 1;
}
