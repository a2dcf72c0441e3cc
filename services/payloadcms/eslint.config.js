import tseslint from 'typescript-eslint'

import { rules } from './eslint.rules.js'

export default tseslint.config(
  // What needs React is checked by dev/admin, where React is installed.
  {
    ignores: [
      'dist',
      '**/node_modules',
      'dev/payload-types.ts',
      'dev/admin',
      'src/components',
      'src/exports/client.ts',
      'src/exports/rsc.ts',
    ],
  },
  ...rules,
  {
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['eslint.config.js', 'eslint.rules.js'] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
  },
  {
    // Answers of an API have every shape.
    files: ['test/**'],
    rules: {
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  { files: ['eslint.*.js'], ...tseslint.configs.disableTypeChecked },
)
