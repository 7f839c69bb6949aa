// examples/node-web as the relying party of a browser test.
import { join } from 'node:path'
import { Program, freePort, root } from './processes.mjs'

/** Registers the example at the provider and starts it. */
export async function startNodeWeb (provider, ...flags) {
  const port = await freePort()
  const url = `http://localhost:${port}`
  const client = await provider.client('--kind', 'web', '--name', 'Node web', '--redirect-uri', `${url}/callback`,
    '--post-logout-redirect-uri', `${url}/`, ...flags)
  const program = new Program('node', ['server.js'], {
    cwd: join(root, 'examples/node-web'),
    env: { ISSUER: provider.issuer, CLIENT_ID: client.client_id, CLIENT_SECRET: client.client_secret, PORT: String(port) }
  })
  await program.answers(url)
  return { url, client, close: () => program.stop() }
}
