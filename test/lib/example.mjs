// The examples, run as their READMEs say: the commands are read from there.
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import assert from 'node:assert/strict'
import { Program, freePort, folder, root, run } from './processes.mjs'
import { binary } from './signet.mjs'

/** The commands that begin with word, from the shell fences of a README. */
export function commands (readme, word) {
  return [...readme.matchAll(/```sh\n([\s\S]*?)```/g)]
    .flatMap(([, block]) => block.replaceAll('\\\n', ' ').split('\n'))
    .filter((line) => line.startsWith(`${word} `))
}

/** How each example is started; the README's environment comes on top. */
const start = {
  'flask-session': () => [process.env.PYTHON ?? join(root, '.cache/venv/bin/python'), ['app.py']],
  'flask-api': () => [process.env.PYTHON ?? join(root, '.cache/venv/bin/python'), ['app.py']],
  'node-web': () => ['node', ['server.js']],
  'go-web': (dir) => goBuild('go-web', dir),
  'go-api': (dir) => goBuild('go-api', dir)
}

async function goBuild (name, dir) {
  const path = join(dir, name)
  await run('go', ['build', '-o', path, `./examples/${name}`], { cwd: root })
  return [path, []]
}

/**
 * Registers the example at the provider with the commands of its README, on a free port in the
 * place of the README's, and starts it.
 */
export async function startExample (name, provider) {
  const readme = readFileSync(join(root, 'examples', name, 'README.md'), 'utf8')
  const usual = /PORT=(\d+)/.exec(readme)[1]
  const port = await freePort()
  const url = `http://localhost:${port}`
  let client
  for (const command of commands(readme, 'signet')) {
    if (command.includes('user import')) continue // its own test
    const line = command.replaceAll(`localhost:${usual}`, `localhost:${port}`)
      .replace('signet client create', 'signet client create --json')
      .replace('--data signet-data', provider.where.join(' '))
    const { stdout } = await run('bash', ['-euc', line], {
      env: { ...process.env, PATH: `${dirname(binary)}:${process.env.PATH}` }
    })
    if (line.includes('client create')) client = JSON.parse(stdout)
  }
  assert.ok(client?.client_id && client?.client_secret, `${name}: no client registered`)

  const dir = folder(name)
  const [program, args] = await start[name](dir.path)
  const running = new Program(program, args, {
    cwd: join(root, 'examples', name),
    env: {
      ISSUER: provider.issuer, PORT: String(port), AUDIENCE: `${url}/`,
      CLIENT_ID: client.client_id, CLIENT_SECRET: client.client_secret
    }
  })
  await running.answers(url)
  return {
    url,
    client,
    close: async () => {
      await running.stop()
      dir.remove()
    }
  }
}
