import reactHooks from 'eslint-plugin-react-hooks'

import { rules } from '../../eslint.rules.js'

/** The panel: the plugin's rules and React's, with the types that are installed here. Run from the plugin's folder. */
export default [
  { ignores: ['**/*.js', '**/*.mjs', '**/node_modules', '**/.next', '**/next-env.d.ts'] },
  ...rules,
  {
    files: ['**/*.ts', '**/*.tsx'],
    plugins: { 'react-hooks': reactHooks },
    rules: {
      'react-hooks/rules-of-hooks': 'error',
      'react-hooks/exhaustive-deps': 'error',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
    },
    languageOptions: {
      parserOptions: { project: 'dev/admin/tsconfig.json' },
    },
  },
]
