// What a client meets: a provider of its own with the client's configuration, an API, a person who
// signs in and allows, keys, and a place where results go.
import { createPublicKey } from 'node:crypto'
import { createInterface } from 'node:readline'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Program, folder, freePort, root } from '../lib/processes.mjs'
import { password, reserve } from '../lib/signet.mjs'
import { front, keyPair, tls } from './keys.mjs'
import { Visitor, email, name, peopleService } from './people.mjs'

export const audience = 'https://api.example.com/'
export const secret = 'a-secret-of-an-application-in-a-test'
/** Nobody listens there: whoever stands in for the browser reads the redirect itself. */
export const callback = 'http://localhost:9/callback'
export const bye = 'http://localhost:9/bye'

export class Rig {
  constructor (client) {
    this.client = client
    this.here = join(root, 'test/interop')
    this.results = new Map()
    this.closers = []
  }

  async start () {
    const { client } = this
    this.dir = folder('interop')
    this.closers.push(() => this.dir.remove())
    this.keys = { sig: keyPair('interop-1'), rs: keyPair('interop-rs', 'RS256'), rsa: keyPair('interop-rsa', 'RSA', 'enc') }
    this.ca = readFileSync(join(tls, 'cert.pem'), 'utf8')
    // Where applications of the client listen, if it has any.
    this.ports = []
    while (this.ports.length < (client.ports ?? 1)) this.ports.push(await freePort())
    this.port = this.ports[0]
    if (client.front) {
      this.front = await front(this.port, client.answer?.bind(client, this))
      this.closers.push(() => this.front.close())
    }
    await client.prepare?.(this)
    await this.#provider()
    this.service = await peopleService(this.issuer, brief)
    this.closers.push(() => this.service.close())
    return this
  }

  /**
   * Starts a provider with the configuration that the client wants: config(place) answers an object
   * of sections, of which JSON is YAML enough.
   */
  async #provider () {
    const { client } = this
    const place = await reserve({ tls: client.https && { path: tls }, env: { SSL_CERT_FILE: join(tls, 'cert.pem') } })
    this.issuer = place.issuer
    const sections = client.config(await this.#place())
    sections.apis ??= [{ audience, name: 'Orders', scopes: { 'orders.read': 'Read orders' } }]
    sections.device ??= { interval: '1s' }
    if (client.front) sections.outbound ??= { allow_hosts: ['localhost'] }
    this.provider = await place.start(Object.entries(sections).map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join('\n'))
    this.closers.push(() => this.provider.close())
    const people = join(this.provider.dir.path, 'people.csv')
    writeFileSync(people, `email,email_verified,name,password\n${email},true,${name},${password}\n`)
    await this.provider.cli('user', 'import', people)
  }

  /** What a client's configuration depends on. */
  async #place () {
    const { client, certificate } = this
    const port = client.https && await freePort()
    return {
      ports: this.ports, app: `http://localhost:${this.port}`, front: this.front?.url, issuer: this.issuer, callback, bye, secret, audience,
      jwks: { keys: Object.values(this.keys).map((pair) => pair.public) },
      mtls: client.https && { listen: `127.0.0.1:${port}`, url: `https://localhost:${port}` },
      certificate: certificate && { ...createPublicKey(certificate.cert).export({ format: 'jwk' }), kid: 'certificate', use: 'sig', x5c: certificate.x5c }
    }
  }

  person () { return new Visitor(this.issuer) }

  /** Runs one flow and keeps whether it went through. */
  flow = async (id, run, { seconds = 60 } = {}) => {
    const start = Date.now()
    let timer
    try {
      const late = new Promise((resolve, reject) => { timer = setTimeout(() => reject(new Error(`not done after ${seconds} s`)), seconds * 1000) })
      await Promise.race([run(), late])
      this.record(id, true, '', Date.now() - start)
    } catch (err) {
      this.record(id, false, told(err), Date.now() - start)
    } finally {
      clearTimeout(timer)
    }
  }

  record (id, ok, why = '', ms) {
    this.results.set(id, { ok: ok && this.results.get(id)?.ok !== false, why })
    console.log(`${ok ? 'ok    ' : 'FAILED'} ${this.client.name.padEnd(18)} ${id}${ms === undefined ? '' : ` (${ms} ms)`}${ok ? '' : `\n${why.replace(/^/gm, '         ')}`}`)
  }

  /** What programs in other languages are told, in their environment. */
  get env () {
    return {
      ISSUER: this.issuer, PERSON: this.service.url, CALLBACK: callback, BYE: bye, SECRET: secret, AUDIENCE: audience,
      EMAIL: email, NAME: name, KEY: JSON.stringify(this.keys.sig.private)
    }
  }

  /** Runs a program that prints a line `ok FLOW` or `FAILED FLOW: why` for each flow. */
  async program (command, args, { cwd = root, env = {}, seconds = 300 } = {}) {
    const program = new Program(command, args, { cwd, env: { ...this.env, ...env } })
    const timer = setTimeout(() => program.stop('SIGKILL'), seconds * 1000)
    createInterface(program.child.stdout).on('line', (line) => {
      const [, how, id, why = ''] = /^(ok|FAILED) ([\w-]+)(?:: (.*))?$/.exec(line) ?? []
      if (how) this.record(id, how === 'ok', why.replaceAll('\\n', '\n'))
    })
    const { code } = await program.ended
    clearTimeout(timer)
    if (code !== 0 && [...this.results.values()].every((r) => r.ok)) throw new Error(`${program.name} ended with ${code}:\n${program.output.slice(-4000)}`)
  }

  /** Starts an application that runs until the end of this client's turn. */
  async application (command, args, { cwd = root, env = {} } = {}) {
    const program = new Program(command, args, { cwd, env: { ...this.env, ...env } })
    this.closers.push(() => program.stop())
    await program.answers(`http://localhost:${this.port}/`, { seconds: 90 })
    return program
  }

  async close () {
    for (const close of this.closers.reverse()) await close()
  }
}

/** An error with its causes, and what a server said; of a page only its words. */
function told (err) {
  const parts = []
  for (let e = err; e && parts.length < 5; e = e.cause instanceof Error ? e.cause : undefined) {
    parts.push(parts.length === 0 ? brief(e) : `caused by ${e.message ?? e}`)
    if (e.error) parts.push(`error=${e.error} error_description=${e.error_description ?? ''}`)
    if (e.cause && !(e.cause instanceof Error)) parts.push(`cause: ${JSON.stringify(e.cause)}`)
  }
  return parts.join('\n')
}

function brief (err) {
  const words = String(err.message ?? err).replace(/<!doctype html>[\s\S]*?<\/html>/gi, (page) => page
    .replace(/[\s\S]*<main[^>]*>|<\/main>[\s\S]*/g, '').replace(/<(svg|script)[\s\S]*?<\/\1>/g, '').replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' '))
  const ours = (err.stack ?? '').split('\n').filter((line) => /^\s+at .*test\/interop\/[^/]+\/[^/]+\.mjs/.test(line)).slice(0, 2)
  return [words, ...ours].join('\n')
}
