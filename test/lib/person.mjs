// A person without a browser: keeps the provider's cookies, reads its forms, submits them. For
// relying-party tests, where the pages only stand in the way.
import assert from 'node:assert/strict'

const attribute = (tag, name) => {
  const found = new RegExp(`\\s${name}(?:="([^"]*)")?(?=[\\s/>])`).exec(tag)
  return found && (found[1] ?? '').replace(/&amp;/g, '&').replace(/&#34;|&quot;/g, '"').replace(/&#43;/g, '+').replace(/&#39;/g, "'")
}

/** The forms of a page: action, method and the fields a browser would send. */
export function forms (html) {
  return [...html.matchAll(/<form[^>]*>[\s\S]*?<\/form>/g)].map(([form]) => ({
    action: attribute(form, 'action'),
    fields: Object.fromEntries([...form.matchAll(/<input[^>]*>/g)]
      .filter(([tag]) => attribute(tag, 'name') && (!['checkbox', 'radio'].includes(attribute(tag, 'type')) || attribute(tag, 'checked') !== null))
      .map(([tag]) => [attribute(tag, 'name'), attribute(tag, 'value') ?? ''])),
    buttons: [...form.matchAll(/<button[^>]*>/g)].map(([tag]) => ({ name: attribute(tag, 'name'), value: attribute(tag, 'value') }))
  }))
}

export class Person {
  constructor (issuer) {
    this.issuer = issuer
    this.cookies = new Map()
  }

  async request (url, init = {}) {
    const answer = await fetch(url, {
      ...init,
      redirect: 'manual',
      headers: { ...init.headers, cookie: [...this.cookies].map(([k, v]) => `${k}=${v}`).join('; '), 'accept-language': 'en' }
    })
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)
      if (value === '' || /max-age=(0|-\d+)/i.test(line)) this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
    return answer
  }

  /** Follows redirects from url until a page, or until the first URL outside the provider. */
  async visit (url, init) {
    for (let hop = 0; hop < 15; hop++) {
      const answer = await this.request(url, init)
      init = undefined
      const location = answer.headers.get('location')
      if (!location) {
        this.url = String(url)
        this.status = answer.status
        this.html = await answer.text()
        return undefined
      }
      await answer.body?.cancel()
      url = new URL(location, url)
      if (url.origin !== this.issuer) return url
    }
    throw new Error(`redirected too often, last to ${url}`)
  }

  /** Submits the form that has all the named fields, or a button with this name=value. */
  async submit (fields, button) {
    const form = forms(this.html).find((f) => button
      ? f.buttons.some((b) => b.name === button[0] && b.value === button[1])
      : Object.keys(fields).every((name) => name in f.fields))
    assert.ok(form, `no form for ${JSON.stringify(button ?? Object.keys(fields))} at ${this.url} (${this.status}):\n${this.html}`)
    const body = new URLSearchParams({ ...form.fields, ...fields, ...(button && { [button[0]]: button[1] }) })
    return this.visit(new URL(form.action || this.url, this.url), { method: 'POST', body, headers: { origin: this.issuer } })
  }

  /** Walks login and consent from an authorization URL to the application's redirect URI. */
  async authorize (url, { identifier, password }) {
    let landed = await this.visit(url)
    for (let step = 0; !landed && step < 5; step++) {
      if (/name="identifier"/.test(this.html)) {
        landed = await this.submit({ identifier, password })
      } else {
        landed = await this.submit({}, ['answer', 'allow'])
      }
    }
    assert.ok(landed, `the sign-in ended at ${this.url} (${this.status}):\n${this.html}`)
    return landed
  }
}
