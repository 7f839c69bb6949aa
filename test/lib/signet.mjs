// The provider as its users run it: the built binary, on a folder or on a Postgres database.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import { Program, folder, freePort, root, run } from './processes.mjs'

export const binary = process.env.SIGNET_BIN ?? join(root, 'bin/signet')
if (!existsSync(binary)) throw new Error(`${binary} is not built: make build`)

/** A password that is long enough, on no list of common ones, and says nothing about anybody. */
export const password = 'correct-heron-battery-lamp'

class Provider {
  constructor (where, dir, port, samplePort) {
    this.where = where // the flags that name the store: --data DIR or --config FILE
    this.dir = dir
    this.port = port
    this.issuer = `http://localhost:${port}`
    this.sample = samplePort && `http://localhost:${samplePort}`
    this.samplePort = samplePort
  }

  async start () {
    this.program = new Program(binary, this.command(), { env: this.env })
    await this.program.answers(`${this.issuer}/.well-known/openid-configuration`)
    if (this.sample) await this.program.answers(this.sample)
    return this
  }

  /** Runs a subcommand against the same store and returns what it printed. */
  async cli (...args) {
    try {
      const { stdout } = await run(binary, [...args, ...this.where])
      return stdout
    } catch (err) {
      throw new Error(`signet ${args.join(' ')}: ${err.stderr || err.message}`)
    }
  }

  /** Registers an application; returns what --json printed: client_id, client_secret and all. */
  async client (...args) {
    return JSON.parse(await this.cli('client', 'create', ...args, '--json'))
  }

  async restart (signal) {
    await this.program.stop(signal)
    await this.start()
  }

  async close () {
    await this.program?.stop()
    this.dir.remove()
  }
}

class Dev extends Provider {
  command () {
    return ['dev', '--data', this.data, '--listen', `127.0.0.1:${this.port}`, '--sample-listen', `127.0.0.1:${this.samplePort}`, ...this.more]
  }
}

class Serve extends Provider {
  command () { return ['serve', ...this.where] }

  async start () {
    if (!this.issuer.startsWith('https:')) return super.start()
    this.program = new Program(binary, this.command(), { env: this.env })
    await this.program.listens(this.port)
    return this
  }
}

/**
 * A certificate for localhost that nobody trusts by itself: the folder has cert.pem and key.pem.
 * Programs of ours trust it with SSL_CERT_FILE.
 */
export async function certificate () {
  const dir = folder('certificate')
  const { stdout } = await run('go', ['env', 'GOROOT'])
  await run('go', ['run', join(stdout.trim(), 'src/crypto/tls/generate_cert.go'), '--host', 'localhost', '--ecdsa-curve', 'P256', '--ca'], { cwd: dir.path })
  return dir
}

/** `signet dev` on an empty folder, with its sample application; `more` are further flags. */
export async function startDev (...more) {
  const dir = folder('dev')
  const data = join(dir.path, 'signet-data')
  const provider = new Dev(['--data', data], dir, await freePort(), await freePort())
  provider.data = data
  provider.more = more
  return provider.start()
}

/**
 * A place for `signet serve` on a SQLite file of its own: its issuer is known before it starts, so
 * that others can be told. `start` takes lines of configuration, and files that stand beside it.
 * With a certificate's folder it serves https.
 */
export async function reserve ({ tls, env } = {}) {
  const dir = folder('serve')
  const port = await freePort()
  const file = join(dir.path, 'signet.yaml')
  const provider = new Serve(['--config', file], dir, port)
  provider.env = env
  if (tls) provider.issuer = provider.issuer.replace('http:', 'https:')
  return {
    issuer: provider.issuer,
    start (more = '', files = {}) {
      writeFileSync(join(dir.path, 'master.key'), randomBytes(32).toString('base64') + '\n', { mode: 0o600 })
      for (const [name, content] of Object.entries(files)) writeFileSync(join(dir.path, name), content)
      writeFileSync(file, [
        `issuer: ${provider.issuer}`,
        'database:',
        `  path: ${join(dir.path, 'signet.db')}`,
        `master_key_file: ${join(dir.path, 'master.key')}`,
        `listen: 127.0.0.1:${port}`,
        'management:',
        '  listen: "off"',
        'shutdown:',
        '  delay: 0s',
        'log:',
        '  level: warn',
        ...(tls ? ['tls:', `  cert_file: ${join(tls.path, 'cert.pem')}`, `  key_file: ${join(tls.path, 'key.pem')}`] : []),
        more,
        ''
      ].join('\n'))
      return provider.start()
    }
  }
}

export const startServe = async (...more) => (await reserve()).start(...more)

/** `signet serve` on a new database of the test run's Postgres server. */
export async function startOnPostgres () {
  const server = process.env.SIGNET_TEST_POSTGRES
  if (!server) throw new Error('SIGNET_TEST_POSTGRES is not set: run this through test/postgres/run.sh')
  const name = `browser_${randomBytes(6).toString('hex')}`
  await run('psql', [server, '-q', '-c', `CREATE DATABASE ${name}`])
  const url = new URL(server)
  url.pathname = `/${name}`

  const dir = folder('serve')
  const port = await freePort()
  const file = join(dir.path, 'signet.yaml')
  writeFileSync(join(dir.path, 'master.key'), randomBytes(32).toString('base64') + '\n', { mode: 0o600 })
  writeFileSync(file, [
    `issuer: http://localhost:${port}`,
    'database:',
    `  url: ${url}`,
    `master_key_file: ${join(dir.path, 'master.key')}`,
    `listen: 127.0.0.1:${port}`,
    'management:',
    '  listen: "off"',
    'shutdown:',
    '  delay: 0s',
    ''
  ].join('\n'))
  const provider = new Serve(['--config', file], dir, port)
  await provider.cli('migrate')
  return provider.start()
}
