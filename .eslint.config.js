import tseslint from 'typescript-eslint';

const SPREAD_LITERAL = {
  selector: 'ObjectExpression > SpreadElement > ObjectExpression',
  message: 'Write the members themselves; a spread literal only saves lines.',
};
const SPREAD_BAG = {
  selector:
    'NewExpression > ObjectExpression > SpreadElement > :matches(Identifier, MemberExpression, CallExpression)',
  message: 'Name each argument: of a bag, the compiler does not notice a member that was renamed.',
};
// Node 20 holds the signals of `any` weakly: a timeout that nothing else holds is collected and never aborts.
const LOST_DEADLINE = {
  selector:
    'CallExpression[callee.object.name="AbortSignal"][callee.property.name="any"] CallExpression[callee.object.name="AbortSignal"][callee.property.name="timeout"]',
  message: 'Use withDeadline (agent/base/deadline.ts): this timeout can be lost to the garbage collector.',
};

// Biome does the rest; only the rules that need types are here.
export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', '.cache/', '*.js', '.*.js', '*.cjs'] },
  {
    files: ['**/*.ts', '**/*.tsx'],
    languageOptions: { parser: tseslint.parser, parserOptions: { projectService: true } },
    plugins: { '@typescript-eslint': tseslint.plugin },
    rules: {
      // tap runs subtests in their order whether they are awaited or not, and reports what they reject with.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafePromises: [
            { from: 'package', name: 'PromiseWithSubtest', package: '@tapjs/core' },
          ],
        },
      ],
      '@typescript-eslint/no-misused-promises': 'error',
      'no-restricted-syntax': ['error', SPREAD_LITERAL, LOST_DEADLINE],
    },
  },
  {
    // A test may start from a bag of defaults: no promise of the program hangs on it.
    files: ['agent/**', 'scripts/**'],
    rules: { 'no-restricted-syntax': ['error', SPREAD_LITERAL, SPREAD_BAG, LOST_DEADLINE] },
  },
);
