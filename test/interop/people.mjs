// Whoever sits at the browser: reads forms, signs in, allows, signs out.
import { createServer } from 'node:http'
import { once } from 'node:events'
import { json } from 'node:stream/consumers'
import { Person, forms } from '../lib/person.mjs'
import { password } from '../lib/signet.mjs'

export const email = 'interop@example.com'
export const name = 'Interop Person'

const plain = (attribute) => attribute.replace(/&amp;/g, '&').replace(/&#43;/g, '+')

/** The form of a page that posts to another origin (form_post), if there is one. */
const outward = (html, here) => forms(html).find((form) => /^https?:/.test(form.action ?? '') && new URL(form.action).origin !== here)

/** A person where nobody listens at the redirect URI: what would arrive there is handed back. */
export class Visitor extends Person {
  async visit (url, init) {
    this.posted = undefined
    const landed = await super.visit(url, init)
    if (landed) return landed
    const out = outward(this.html, this.issuer)
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
      if (/name="identifier"/.test(this.html)) {
        await this.submit({ identifier: email, password })
      } else if (all.some((form) => form.buttons.some((b) => b.name === 'answer' && b.value === 'allow'))) {
        return this.submit({}, ['answer', 'allow'])
      } else if (all.some((form) => 'user_code' in form.fields)) {
        await this.submit({ user_code: code })
      } else {
        break
      }
    }
    throw new Error(`the device was not confirmed at ${this.url} (${this.status}):\n${this.html}`)
  }

  /** Answers the newest question of an application that asked from elsewhere (CIBA): allow or deny. */
  async answerAsked (answer, message) {
    const place = `${this.issuer}/account/requests`
    await this.visit(place)
    if (/name="identifier"/.test(this.html)) await this.submit({ identifier: email, password })
    const newest = [...this.html.matchAll(/href="(\/account\/requests\/[^"]+)"/g)].at(-1)?.[1]
    if (!newest) throw new Error(`nobody asks at ${this.url} (${this.status}):\n${this.html}`)
    await this.visit(new URL(newest, place))
    if (message && !this.html.includes(`>${message}<`)) throw new Error(`${message} is not shown at ${this.url} (${this.status}):\n${this.html}`)
    await this.submit({}, ['answer', answer])
  }

  /** Signs out at the provider; where it leads to. */
  async leave (url) { return await this.visit(url) ?? await this.submit({}, ['answer', 'leave']) }
}

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
      const out = new URL(url).origin === this.issuer && outward(this.html, this.issuer)
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

/**
 * People for programs in other languages: POST /authorize, /device or /leave with a JSON object.
 * Its `who` says which of them; each has cookies of their own.
 */
export async function peopleService (issuer, told) {
  const people = new Map()
  const acts = {
    '/authorize': async (who, { url }) => ({ url: String(await who.enter(url)) }),
    '/device': async (who, { url, code }) => { await who.allowDevice(url, code); return {} },
    '/leave': async (who, { url }) => ({ url: String(await who.leave(url)) })
  }
  const server = createServer(async (req, res) => {
    let answer
    try {
      const asked = await json(req)
      if (!people.has(asked.who)) people.set(asked.who, new Visitor(issuer))
      answer = await acts[req.url](people.get(asked.who), asked)
    } catch (err) {
      answer = { error: told(err) }
    }
    const body = JSON.stringify(answer)
    res.writeHead(answer.error ? 500 : 200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    res.end(body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => { server.close(); server.closeAllConnections() } }
}
