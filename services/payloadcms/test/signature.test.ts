import { expect, it } from 'vitest'
import { Webhook } from 'standardwebhooks'

import { isGenuine, signedHeaders } from '../src/webhook/signature.ts'

const NOW = new Date('2026-01-01T12:00:00Z')
const SECRETS = ['one', 'two'].map((name) => `whsec_${Buffer.from(`secret ${name}`).toString('base64')}`) as [
  string,
  string,
]
const BODY = '{"type":"task.done.v1"}'

function signed(secret: string, at = NOW, body = BODY) {
  return {
    id: 'msg_1',
    timestamp: String(at.getTime() / 1000),
    signature: new Webhook(secret).sign('msg_1', at, body),
  }
}

const minutes = (count: number) => new Date(NOW.getTime() + count * 60_000)

it.each(SECRETS)('takes what the library signed, with any of the secrets', (secret) => {
  expect(isGenuine(signed(secret), BODY, SECRETS, NOW)).toBe(true)
})

it('takes one good signature among several, as during a rotation', () => {
  const { signature, ...rest } = signed(SECRETS[1])
  expect(isGenuine({ ...rest, signature: `v1,AAAA v1a,xyz ${signature}` }, BODY, [SECRETS[1]], NOW)).toBe(true)
})

it.each([
  ['another body', signed(SECRETS[0]), `${BODY} `],
  ['another id', { ...signed(SECRETS[0]), id: 'msg_2' }, BODY],
  ['another time', { ...signed(SECRETS[0]), timestamp: String(NOW.getTime() / 1000 + 1) }, BODY],
  ['a secret of somebody else', signed('whsec_c29tZWJvZHkgZWxzZQ=='), BODY],
  ['an empty signature', { ...signed(SECRETS[0]), signature: 'v1,' }, BODY],
  ['another version', { ...signed(SECRETS[0]), signature: signed(SECRETS[0]).signature.replace('v1,', 'v2,') }, BODY],
  ['a time that is none', { ...signed(SECRETS[0]), timestamp: '1e9' }, BODY],
  ['a time long past', signed(SECRETS[0], minutes(-6)), BODY],
  ['a time to come', signed(SECRETS[0], minutes(6)), BODY],
])('refuses %s', (_what, headers, body) => {
  expect(isGenuine(headers, body, SECRETS, NOW)).toBe(false)
})

it('takes nothing for signed while there is no secret', () => {
  expect(isGenuine(signed(SECRETS[0]), BODY, [], NOW)).toBe(false)
})

it.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])('wants the header %s', (missing) => {
  const headers = new Headers({ 'webhook-id': 'a', 'webhook-timestamp': '1', 'webhook-signature': 'v1,x' })
  headers.delete(missing)
  expect(signedHeaders(headers)).toBeUndefined()
})
