import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // As .ci/run says for pytest: a failure is tried once more there, and told.
    retry: Number(process.env.TRIES_AGAIN ?? 0),
    // Each file starts its own Payload; without this a second one of the same schema gets no tables.
    env: { PAYLOAD_FORCE_DRIZZLE_PUSH: 'true', PAYLOAD_DISABLE_ADMIN: 'true' },
  },
})
