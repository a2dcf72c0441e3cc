export * from '../vocabulary.ts'
