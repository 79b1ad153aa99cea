// The import rules of the house (docs/design/016-project-rules.md). Data flows down the tree; whatever must go up belongs in
// agent/contract. What a stage is, is read from the folders: a new one is covered without a line here.
const { existsSync, readdirSync } = require('node:fs');
const { join } = require('node:path');

/** Every stage may import base, contract and orders; cli is what a person types, and may use any stage. */
const SHARED = ['base', 'contract', 'orders', 'cli', 'kit'];
const foldersIn = (dir) =>
  readdirSync(join(__dirname, dir), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
const stages = foldersIn('agent')
  .filter((name) => !SHARED.includes(name))
  .join('|');
const visionStages = foldersIn('agent/vision').join('|');
const ROOM = 'scripts/products/room';
const roomPrograms = foldersIn(ROOM)
  .filter((name) => existsSync(join(__dirname, ROOM, name, 'main.ts')))
  .join('|');

/** Only the files under `home` may import the npm package. */
const owned = (name, pattern, home) => ({
  name: `${name}-only-at-home`,
  severity: 'error',
  from: { path: '^agent/', pathNot: home },
  to: { path: `node_modules/${pattern}(/|$)` },
});

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'base-imports-nothing-of-ours',
      severity: 'error',
      from: { path: '^agent/base/' },
      to: { path: '^(agent|scripts|test)/', pathNot: '^agent/base/' },
    },
    {
      name: 'contract-imports-base-alone',
      severity: 'error',
      from: { path: '^agent/contract/' },
      to: { path: '^(agent|scripts|test)/', pathNot: '^agent/(contract|base)/' },
    },
    {
      name: 'contract-reads-no-file-and-no-socket',
      severity: 'error',
      from: { path: '^agent/contract/' },
      to: {
        path: '^(node:)?(fs|net|http|https|tls|child_process|dgram|worker_threads|os)(/|$)',
        dependencyTypes: ['core'],
      },
    },
    {
      name: 'orders-import-base-and-contract',
      severity: 'error',
      from: { path: '^agent/orders/' },
      to: { path: '^(agent|scripts|test)/', pathNot: '^agent/(orders|contract|base)/' },
    },
    {
      name: 'stages-do-not-import-each-other',
      severity: 'error',
      from: { path: `^agent/(${stages})/` },
      to: { path: `^agent/(${stages}|cli)/`, pathNot: '^agent/$1/' },
    },
    {
      name: 'vision-stages-do-not-import-each-other',
      severity: 'error',
      from: { path: `^agent/vision/(${visionStages})/` },
      to: { path: '^agent/vision/', pathNot: '^agent/vision/($1|native)/' },
    },
    {
      // What runs as root belongs to no release: scripts/products/root.
      name: 'the-agent-knows-no-scripts',
      severity: 'error',
      from: { path: '^agent/' },
      to: { path: '^scripts/' },
    },
    {
      // `vigie run` starts the agent and `vigie replay` plays a clip through its flow.
      name: 'nobody-imports-the-root',
      severity: 'error',
      from: {
        path: '^agent/',
        pathNot: '^agent/(vision/)?(main|parts|flow)\\.ts$|^agent/cli/(run|replay)\\.ts$',
      },
      to: { path: '^agent/(vision/)?(main|parts|flow)\\.ts$' },
    },
    {
      name: 'the-root-is-main-parts-and-flow',
      severity: 'error',
      from: {},
      to: { path: '^agent/(vision/)?[^/]+\\.ts$', pathNot: '^agent/(vision/)?(main|parts|flow)\\.ts$' },
    },
    {
      name: 'pixels-stay-in-vision',
      severity: 'error',
      from: { path: '^(agent|scripts)/', pathNot: '^agent/vision/|^scripts/workshop/evaluate/' },
      to: { path: '^agent/vision/' },
    },
    {
      name: 'products-know-no-workshop',
      severity: 'error',
      from: { path: '^scripts/(products|lib)/' },
      to: { path: '^scripts/workshop/' },
    },
    {
      // What a central team copies: it knows the published schema, how to print it, and nothing of the agent's inside.
      name: 'the-room-knows-the-contract-only',
      severity: 'error',
      // Its main puts retention beside it, which reads the authority's orders.
      from: {
        path: '^scripts/products/room/(archive|contract|database)/',
        pathNot: '^scripts/products/room/archive/main\\.ts$',
      },
      to: {
        path: '^(agent|scripts|test)/',
        pathNot:
          '^agent/(contract/|base/(network-error|printable|json|sha256|token-bucket)\\.ts$)|^scripts/(lib/json-schema\\.ts$|products/room/(archive|contract|database)/)',
      },
    },
    {
      // What several of them need lies beside them: contract, database, questions, retention.
      name: 'programs-of-the-room-do-not-import-each-other',
      severity: 'error',
      from: { path: `^${ROOM}/(${roomPrograms})/` },
      to: { path: `^${ROOM}/(${roomPrograms})/`, pathNot: `^${ROOM}/$1/` },
    },
    {
      name: 'the-kit-is-a-leaf',
      severity: 'error',
      from: { path: '^agent/kit/' },
      to: { path: '^(agent|scripts|test)/', pathNot: '^agent/kit/' },
    },
    {
      // What runs in a browser; nothing that runs in node can be in it, and nothing else imports it.
      name: 'the-app-knows-kit-and-contract-only',
      severity: 'error',
      from: { path: '^agent/page/app/' },
      to: { path: '^(agent|scripts|test)/', pathNot: '^agent/(kit|contract|page/app)/' },
    },
    {
      // The room's console in a browser: of the room it knows the contract of its interface.
      name: 'the-console-app-knows-kit-and-contracts-only',
      severity: 'error',
      from: { path: '^scripts/products/room/app/' },
      to: {
        path: '^(agent|scripts|test)/',
        pathNot: '^agent/(kit|contract)/|^scripts/products/room/(app|contract)/',
      },
    },
    {
      name: 'kit-and-apps-stay-in-the-browser',
      severity: 'error',
      from: { path: '^(agent|scripts)/', pathNot: '^(agent/(kit|page/app)|scripts/products/room/app)/' },
      to: { path: '^(agent/(kit|page/app)|scripts/products/room/app)/' },
    },
    {
      // The addons themselves are loaded in vision/native by createRequire, which no rule sees.
      name: 'gstreamer-only-at-home',
      severity: 'error',
      from: { path: '^(agent|scripts)/', pathNot: '^agent/vision/(camera|detect|native)/' },
      to: {
        path: '^agent/vision/native/|node_modules/(node-gstreamer-superficial|vigie-native)(/|$)',
        pathNot: '^agent/vision/native/(process|addon)\\.ts$',
      },
    },
    owned('onnxruntime', 'onnxruntime-node', '^agent/vision/detect/'),
    owned('sharp', 'sharp', '^agent/vision/(redact|camera)/'),
    owned('age', 'age-encryption', '^agent/vision/redact/'),
    owned('sqlite', 'better-sqlite3', '^agent/(base/sqlite\\.ts|outbox/)'),
    owned('mqtt', 'mqtt', '^agent/mqtt/'),
    {
      // What the browser gets is bundled by the build.
      name: 'no-orphan-dev-dependency-in-agent',
      severity: 'error',
      from: { path: '^agent/', pathNot: '^agent/(kit|page/app)/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: {},
      // The addons ship no types and are loaded through createRequire.
      to: { couldNotResolve: true, pathNot: '^(node-gstreamer-superficial|vigie-native(/onnxruntime)?)$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^dist/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
