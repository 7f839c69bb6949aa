// Every example against the real server, as its README says.
import { test, before, after, describe } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startDev } from '../lib/signet.mjs'
import { commands, startExample } from '../lib/example.mjs'
import { launch, visitor, assertQuiet } from '../lib/browser.mjs'
import { allow, button, logIn, signUp, somebody, toSignUp } from '../lib/pages.mjs'
import { binary } from '../lib/signet.mjs'
import { root, run, until } from '../lib/processes.mjs'
import { dirname } from 'node:path'

let browser, provider

before(async () => {
  browser = await launch()
  provider = await startDev()
})
after(async () => {
  await browser?.close()
  await provider?.close()
})

for (const name of ['flask-session', 'go-web', 'node-web']) {
  test(`${name}: sign up, consent, own session, logout`, async () => {
    const example = await startExample(name, provider)
    const who = await visitor(browser, { expected: [400, 404] })
    const { page } = who
    const person = somebody()
    try {
      await page.goto(example.url)
      await page.click('a[href="/login"]')
      await page.waitForSelector('#identifier')
      await toSignUp(page)
      await signUp(page, person)
      await page.waitForSelector(button('answer', 'allow'))
      await allow(page)
      await page.waitForURL(`${example.url}/**`)
      assert.equal(await page.textContent('#name'), person.name)
      assert.equal(await page.textContent('#email'), person.email)

      await page.click('form[action="/logout"] button')
      await page.waitForURL(`${example.url}/`)
      await page.waitForSelector('a[href="/login"]')
      await page.click('a[href="/login"]')
      await page.waitForSelector('#identifier') // the provider's session ended as well
      await logIn(page, person)
      await page.waitForURL(`${example.url}/**`)
      assert.equal(await page.textContent('#name'), person.name)

      // A callback that this browser did not ask for signs nobody in.
      await who.context.clearCookies()
      const forged = await page.goto(`${example.url}/callback?code=forged&state=forged`)
      assert.equal(forged.status(), 400)
      assertQuiet(who)
    } finally {
      await who.close()
      await example.close()
    }
  })

  test(`${name}: the person says no`, async () => {
    const example = await startExample(name, provider)
    const who = await visitor(browser, { expected: [400, 403, 404] }) // 404: no icon beside a plain error
    const { page } = who
    try {
      await page.goto(`${example.url}/login`)
      await toSignUp(page)
      await signUp(page, somebody())
      await page.waitForSelector(button('answer', 'deny'))
      await page.click(button('answer', 'deny'))
      await page.waitForURL(`${example.url}/callback?**`)
      assert.match(await page.textContent('body'), /access_denied/)
      assertQuiet(who)
    } finally {
      await who.close()
      await example.close()
    }
  })
}

describe('the users table of a tutorial', () => {
  test('imports, and its user logs in through the Flask application', async () => {
    await run('python3', ['-c', `
import sqlite3
db = sqlite3.connect("users.db")
db.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT UNIQUE, password TEXT)")
db.executemany("INSERT INTO users (username, password) VALUES (?, ?)", [("alice", "wonderland"), ("bob", "builder99")])
db.commit()
`], { cwd: provider.dir.path })
    const readme = readFileSync(join(root, 'examples/flask-session/README.md'), 'utf8')
    const [command] = commands(readme, 'signet user import')
    await run('bash', ['-euc', command], {
      cwd: provider.dir.path, env: { ...process.env, PATH: `${dirname(binary)}:${process.env.PATH}` }
    })

    const example = await startExample('flask-session', provider)
    const who = await visitor(browser, { expected: [401] })
    try {
      const { page } = who
      await page.goto(`${example.url}/private`)
      await page.waitForSelector('#identifier')
      await logIn(page, { email: 'alice', password: 'not wonderland' })
      await page.waitForSelector('[role=alert]')
      await logIn(page, { email: 'alice', password: 'wonderland' })
      await page.waitForSelector(button('answer', 'allow'))
      await allow(page)
      await page.waitForURL(`${example.url}/private`)
      assert.equal(await page.textContent('#preferred_username'), 'alice')
      assertQuiet(who)
    } finally {
      await who.close()
      await example.close()
    }
  })
})

for (const [name, things] of [['flask-api', 'notes'], ['go-api', 'tasks']]) {
  test(`${name}: audience, scope and signature decide`, async () => {
    const example = await startExample(name, provider)
    try {
      const call = async (path, token, method = 'GET') => {
        const answer = await fetch(example.url + path, { method, headers: token ? { authorization: `Bearer ${token}` } : {} })
        return { status: answer.status, challenge: answer.headers.get('www-authenticate') ?? '', body: await answer.json() }
      }
      // A running server sees a new API when it next looks for changes, within a second.
      const token = (client, parameters) => until('a token for the new API', () => request(client, parameters), { seconds: 5 })
      const request = async (client, parameters) => {
        const answer = await fetch(`${provider.issuer}/oauth2/token`, {
          method: 'POST',
          headers: { authorization: `Basic ${btoa(`${encodeURIComponent(client.client_id)}:${encodeURIComponent(client.client_secret)}`)}` },
          body: new URLSearchParams({ grant_type: 'client_credentials', ...parameters })
        })
        const body = await answer.json()
        assert.equal(answer.status, 200, JSON.stringify(body))
        return body.access_token
      }
      const good = await token(example.client, { scope: `${things}:read`, resource: `${example.url}/` })

      assert.equal((await call('/public')).status, 200)
      const notes = await call(`/${things}`, good)
      assert.equal(notes.status, 200)
      assert.equal(notes.body.client, example.client.client_id)

      const write = await call(`/${things}`, good, 'POST')
      assert.equal(write.status, 403)
      assert.equal(write.body.error, 'insufficient_scope')

      assert.equal((await call(`/${things}`)).status, 401)
      const [header, payload, signature] = good.split('.')
      const forged = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(payload, 'base64url')), scope: `${things}:read ${things}:write` })).toString('base64url')
      const none = Buffer.from(JSON.stringify({ alg: 'none', typ: 'at+jwt' })).toString('base64url')
      for (const [why, bad] of Object.entries({
        nonsense: 'nonsense', 'changed payload': `${header}.${forged}.${signature}`, 'alg none': `${none}.${payload}.`
      })) {
        const refused = await call(`/${things}`, bad)
        assert.equal(refused.status, 401, why)
        assert.equal(refused.body.error, 'invalid_token', why)
        assert.match(refused.challenge, /^Bearer/, why)
      }

      if (name === 'go-api') { // RFC 9470 §3: a program has not signed in with two factors
        const more = await call('/tasks/export', good)
        assert.equal(more.status, 401)
        assert.equal(more.body.error, 'insufficient_user_authentication')
        assert.match(more.challenge, /^Bearer error="insufficient_user_authentication".*acr_values="urn:signet:acr:2fa", max_age="300"$/)
      }

      // A token for another API is none for this one.
      const elsewhere = `https://${name}.example.com/`
      await provider.cli('api', 'create', '--audience', elsewhere, '--name', 'Elsewhere', '--scope', `${name}:read=Read elsewhere`)
      const other = await provider.client('--kind', 'machine', '--name', 'Elsewhere reader', '--audience', elsewhere, '--scope', `${name}:read`)
      assert.equal((await call(`/${things}`, await token(other, { scope: `${name}:read`, resource: elsewhere }))).status, 401)
    } finally {
      await example.close()
    }
  })
}
