/** Process that sends webhooks as a console does, until it is killed or told to end: `DATABASE SETTINGS` in JSON. */
import { makeLogger } from '../../agent/base/log.ts';
import type { WebhookSettings } from '../../scripts/products/room/console/webhook-sender.ts';
import { Webhooks } from '../../scripts/products/room/console/webhooks.ts';
import { databaseOf } from '../../scripts/products/room/database/open.ts';

const [address = '', settings = '[]'] = process.argv.slice(2);
const db = databaseOf(address, (error) => process.stderr.write(`${error.message}\n`));
const log = makeLogger('console', 'info');
const webhooks = new Webhooks(db, JSON.parse(settings) as WebhookSettings[], log);
await webhooks.start();
process.stdout.write('telling\n');
process.once('SIGTERM', () => void webhooks.stop().then(() => db.close()));
