/** All of a body, or undefined when it is longer than `most` bytes: then what is beyond is not read. */
export async function readWithin(
  { body, headers }: Pick<Response, 'body' | 'headers'>,
  most: number,
): Promise<Buffer | undefined> {
  const reader = body?.getReader()
  if (!reader) return Buffer.alloc(0)
  const chunks: Uint8Array[] = []
  let size = Number(headers.get('content-length') ?? 0)
  if (size <= most) size = 0
  while (size <= most) {
    const { done, value } = await reader.read()
    if (done) return Buffer.concat(chunks)
    size += value.byteLength
    chunks.push(value)
  }
  await reader.cancel()
  return undefined
}
