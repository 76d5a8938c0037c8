import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import regexp from 'eslint-plugin-regexp';
import tseslint from 'typescript-eslint';

/** Node 20 loses what these abort: it holds their sources weakly, and the garbage collector takes a time limit away. */
const LOST_SIGNALS = ['any', 'timeout'].map((property) => ({
  object: 'AbortSignal',
  property,
  message: 'Node 20 may never abort it: use timeLimit() or linkedSignal() of libs/process.',
}));

export default defineConfig([
  globalIgnores(['libs/client/cjs/*/', '**/dist/', 'node_modules/', '.data/', '**/*.gen.ts']),
  js.configs.recommended,
  {
    // No regular expression may take more than linear time over what somebody sends: neither by backtracking, nor by beginning anew at
    // each of its characters. Tests read what we have written ourselves.
    ignores: ['test/**', 'bench/**', '**/*.spec.ts'],
    plugins: { regexp },
    rules: {
      'regexp/no-super-linear-backtracking': ['error', { report: 'potential' }],
      'regexp/no-super-linear-move': ['error', { report: 'potential' }],
    },
  },
  {
    files: ['**/*.ts', '**/*.tsx'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      // A promise nobody waits for is how replies get lost.
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/consistent-type-imports': [
        'error',
        { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/require-await': 'off', // async also means: what it throws is a rejection
      '@typescript-eslint/no-extraneous-class': 'off', // Nest's modules are empty classes
      '@typescript-eslint/prefer-promise-reject-errors': 'off',
      eqeqeq: 'error',
      'no-restricted-properties': ['error', ...LOST_SIGNALS],
      'no-case-declarations': 'off',
    },
  },
  {
    files: ['apps/**/*.ts', 'libs/**/*.ts'],
    ignores: ['apps/model-stub/**', '**/*.spec.ts', 'libs/settings/**', '**/vite.config.ts'],
    rules: {
      // libs/settings is the only reader of the environment.
      'no-restricted-properties': [
        'error',
        ...LOST_SIGNALS,
        { object: 'process', property: 'env', message: 'Read settings instead.' },
      ],
    },
  },
  {
    files: ['test/**/*.ts', 'bench/**/*.ts', '**/*.spec.ts'],
    rules: {
      // Answers under test are of any shape until they are looked at.
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
    },
  },
  // An old Node must be able to read what tells it that it is too old.
  { files: ['tools/ready.cjs'], languageOptions: { ecmaVersion: 2018, sourceType: 'commonjs' } },
  {
    files: ['**/*.js', '**/*.cjs'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', __dirname: 'readonly' } },
  },
]);
