import js from '@eslint/js'
import tseslint from 'typescript-eslint'

/** For everything here, whichever packages its types come from. */
export const rules = [
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      'max-lines': ['error', 300],
    },
  },
]
