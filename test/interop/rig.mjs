// What a client meets: a provider of its own with the client's configuration, an API, a person who
// signs in and allows, keys, and a place where results go.
import { createServer } from 'node:http'
import { createServer as createTLSServer } from 'node:https'
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { createInterface } from 'node:readline'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { json, text } from 'node:stream/consumers'
import { Person, forms } from '../lib/person.mjs'
import { Program, folder, freePort, root } from '../lib/processes.mjs'
import { password, reserve } from '../lib/signet.mjs'

export const email = 'interop@example.com'
export const name = 'Interop Person'
export const audience = 'https://api.example.com/'
export const secret = 'a-secret-of-an-application-in-a-test'
/** The folder with cert.pem and key.pem of this machine, which run.sh made and has this process trust. */
const tls = process.env.INTEROP_TLS
/** Nobody listens there: whoever stands in for the browser reads the redirect itself. */
export const callback = 'http://localhost:9/callback'
export const bye = 'http://localhost:9/bye'

/** A person who also reads what is posted to the application (form_post). */
export class Visitor extends Person {
  async visit (url, init) {
    this.posted = undefined
    const landed = await super.visit(url, init)
    if (landed) return landed
    const out = forms(this.html).find((form) => /^https?:/.test(form.action ?? '') && new URL(form.action).origin !== this.issuer)
    if (!out) return undefined
    this.posted = out.fields
    return new URL(out.action)
  }

  /** From the page of an authorization request to the answer. */
  enter (url) { return this.authorize(url, { identifier: email, password }) }

  /** Enters a device's code, signs in and confirms. */
  async allowDevice (url, code) {
    await this.visit(url)
    for (let step = 0; step < 6; step++) {
      const all = forms(this.html)
      if (/name="identifier"/.test(this.html)) await this.submit({ identifier: email, password })
      else if (all.some((form) => form.buttons.some((b) => b.name === 'answer' && b.value === 'allow'))) {
        await this.submit({}, ['answer', 'allow'])
        return
      } else if (all.some((form) => 'user_code' in form.fields)) await this.submit({ user_code: code })
      else break
    }
    throw new Error(`the device was not confirmed at ${this.url} (${this.status}):\n${this.html}`)
  }

  /** Signs out at the provider; where it leads to. */
  async leave (url) { return await this.visit(url) ?? await this.submit({}, ['answer', 'leave']) }
}

const plain = (attribute) => attribute.replace(/&amp;/g, '&').replace(/&#43;/g, '+')

/** A person in a browser that follows wherever an application and the provider send it. */
export class Surfer extends Person {
  async visit (url, init) {
    this.hops = []
    for (let hop = 0; hop < 20; hop++) {
      this.hops.push(String(url))
      const answer = await this.request(url, init)
      init = undefined
      const location = answer.headers.get('location')
      if (location) {
        await answer.body?.cancel()
        url = new URL(location, url)
        if (url.port === '9') return url // nobody is there
        continue
      }
      this.url = String(url)
      this.status = answer.status
      this.headers = answer.headers
      this.html = await answer.text()
      const here = new URL(url).origin
      const out = here === this.issuer && forms(this.html).find((form) => /^https?:/.test(form.action ?? '') && new URL(form.action).origin !== here)
      if (!out) return undefined
      url = out.action // as the page's script would
      init = { method: 'POST', body: new URLSearchParams(out.fields), headers: { origin: this.issuer } }
    }
    throw new Error(`redirected too often, last to ${url}`)
  }

  /** Opens a page of an application, and signs in and allows where the provider asks. */
  async signIn (url) {
    await this.visit(url)
    for (let step = 0; step < 5 && new URL(this.url).origin === this.issuer; step++) {
      if (/name="identifier"/.test(this.html)) await this.submit({ identifier: email, password })
      else await this.submit({}, ['answer', 'allow'])
    }
  }

  /** Signs out; where it leads to, also from the page that tells other applications first. */
  async leave (url, init) {
    let landed = await this.visit(url, init)
    if (!landed && /value="leave"/.test(this.html)) landed = await this.submit({}, ['answer', 'leave'])
    if (landed) return landed
    await this.frames()
    const [, onward] = /<a [^>]*href="([^"]+)"[^>]*data-onward/.exec(this.html) ?? []
    if (!onward) throw new Error(`nothing leads on from ${this.url}:\n${this.html}`)
    return new URL(plain(onward))
  }

  /** Loads the hidden frames of the page, and answers their addresses. */
  async frames () {
    const places = [...this.html.matchAll(/<iframe[^>]*src="([^"]*)"/g)].map(([, src]) => new URL(plain(src), this.url))
    for (const place of places) await (await this.request(place)).text()
    return places
  }

  /** Signs out at the provider's own page. */
  async signOutAt (issuer) {
    await this.visit(`${issuer}/oauth2/logout`)
    await this.submit({}, ['answer', 'leave'])
  }
}

/** A key pair as JWKs, for what the algorithm is for. */
export function keyPair (kid, alg = 'ES256', use = 'sig') {
  const { publicKey, privateKey } = /^[PR]S/.test(alg)
    ? generateKeyPairSync('rsa', { modulusLength: 2048 })
    : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const more = { kid, use, ...(use === 'sig' && { alg }) }
  return { public: { ...publicKey.export({ format: 'jwk' }), ...more }, private: { ...privateKey.export({ format: 'jwk' }), ...more } }
}

/** The private key of a pair, for programs that want a file. */
export const pem = (pair) => createPrivateKey({ key: pair.private, format: 'jwk' }).export({ format: 'pem', type: 'pkcs8' })

/** https in the place of a program that speaks http only; `answer` may say something itself. */
async function front (port, answer) {
  const server = createTLSServer({ cert: readFileSync(join(tls, 'cert.pem')), key: readFileSync(join(tls, 'key.pem')) }, async (req, res) => {
    try {
      if (answer?.(req, res)) return
      const body = ['GET', 'HEAD'].includes(req.method) ? undefined : await text(req)
      const { host, connection, 'content-length': _, 'transfer-encoding': __, ...headers } = req.headers
      const reply = await fetch(`http://localhost:${port}${req.url}`, { method: req.method, headers, body, redirect: 'manual' })
      res.writeHead(reply.status, Object.fromEntries(reply.headers))
      res.end(await reply.text())
    } catch (err) {
      res.writeHead(502)
      res.end(String(err))
    }
  }).listen(0, 'localhost')
  await once(server, 'listening')
  return { url: `https://localhost:${server.address().port}`, close: () => { server.close(); server.closeAllConnections() } }
}

/** The person for programs in other languages: POST /authorize, /device, /leave, each with a JSON object. */
async function personService (issuer) {
  const people = new Map()
  const acts = {
    '/authorize': async (who, { url }) => {
      const landed = await who.enter(url)
      return { url: String(landed), fields: who.posted }
    },
    '/device': async (who, { url, code }) => { await who.allowDevice(url, code); return {} },
    '/leave': async (who, { url }) => ({ url: String(await who.leave(url)) })
  }
  const server = createServer(async (req, res) => {
    let status = 200
    let answer
    try {
      const asked = await json(req)
      const key = asked.who ?? ''
      if (!people.has(key)) people.set(key, new Visitor(issuer))
      answer = await acts[req.url](people.get(key), asked)
    } catch (err) {
      status = 500
      answer = { error: brief(err) }
    }
    const body = JSON.stringify(answer)
    res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    res.end(body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => { server.close(); server.closeAllConnections() } }
}

/** What a client's run is given. */
export class Rig {
  constructor (client) {
    this.client = client
    this.here = join(root, 'test/interop')
    this.results = new Map()
    this.closers = []
  }

  /**
   * Starts a provider with the configuration that the client wants: config(place) answers an object
   * of sections, of which JSON is YAML enough.
   */
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
    const place = await reserve({ tls: client.https && { path: tls }, env: { SSL_CERT_FILE: join(tls, 'cert.pem') } })
    this.issuer = place.issuer
    const mtlsPort = client.https && await freePort()
    const sections = client.config({
      ports: this.ports, app: `http://localhost:${this.port}`, front: this.front?.url, issuer: this.issuer, dir: this.dir.path,
      callback, bye, secret, audience, jwks: { keys: Object.values(this.keys).map((pair) => pair.public) },
      mtls: client.https && { listen: `127.0.0.1:${mtlsPort}`, url: `https://localhost:${mtlsPort}` },
      certificate: this.certificate && { ...createPublicKey(this.certificate.cert).export({ format: 'jwk' }), kid: 'certificate', use: 'sig', x5c: this.certificate.x5c }
    })
    sections.apis ??= [{ audience, name: 'Orders', scopes: { 'orders.read': 'Read orders' } }]
    sections.device ??= { interval: '1s' }
    if (client.front) sections.outbound ??= { allow_hosts: ['localhost'] }
    this.provider = await place.start(Object.entries(sections).map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join('\n'))
    this.closers.push(() => this.provider.close())
    const people = join(this.provider.dir.path, 'people.csv')
    writeFileSync(people, `email,email_verified,name,password\n${email},true,${name},${password}\n`)
    await this.provider.cli('user', 'import', people)
    this.service = await personService(this.issuer)
    this.closers.push(() => this.service.close())
    return this
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
      EMAIL: email, NAME: name, KEY: JSON.stringify(this.keys.sig.private), APP: `http://localhost:${this.port}`
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
  async application (command, args, { cwd = root, env = {}, ready = `http://localhost:${this.port}/` } = {}) {
    const program = new Program(command, args, { cwd, env: { ...this.env, ...env } })
    this.closers.push(() => program.stop())
    await program.answers(ready, { seconds: 90 })
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
