import path from 'node:path'

import { withPayload } from '@payloadcms/next/withPayload'

/** @type {import('next').NextConfig} */
const config = {
  // The plugin's source lies above this folder.
  turbopack: { root: path.resolve(import.meta.dirname, '../..') },
  // `npm run check` does, with the same settings.
  typescript: { ignoreBuildErrors: true },
}

export default withPayload(config, { devBundleServerPackages: true })
