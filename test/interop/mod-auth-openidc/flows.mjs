import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../../lib/processes.mjs'
import { audience, bye, secret } from '../rig.mjs'
import { pem } from '../keys.mjs'
import { Surfer, email } from '../people.mjs'

export async function run (rig) {
  const { flow, issuer, ports } = rig
  const dir = rig.dir.path
  chmodSync(dir, 0o755) // the server reads it as another user
  writeFileSync(join(dir, 'ca.pem'), rig.ca)
  mkdirSync(join(dir, 'htdocs/protected'), { recursive: true })
  mkdirSync(join(dir, 'htdocs/api'))
  for (const place of ['', 'protected', 'api']) writeFileSync(join(dir, 'htdocs', place, 'index.html'), `<h1>page ${place}</h1>`)
  for (const [name, pair] of Object.entries(rig.keys)) writeFileSync(join(dir, `${name}.pem`), pem(pair))
  const [WEB_PORT, POST_PORT, SIGNED_PORT, ENCRYPTED_PORT, JWT_PORT, OPAQUE_PORT] = ports.map(String)
  await rig.application('apache2', ['-DFOREGROUND', '-f', join(rig.here, 'mod-auth-openidc/httpd.conf')], {
    env: {
      DIR: dir, CA: join(dir, 'ca.pem'), MODULES: '/usr/lib/apache2/modules', PASSPHRASE: randomBytes(16).toString('hex'),
      WEB_PORT, POST_PORT, SIGNED_PORT, ENCRYPTED_PORT, JWT_PORT, OPAQUE_PORT
    }
  })

  /** Opens a protected page of a virtual host and signs in on the way. */
  async function open (port) {
    const who = new Surfer(issuer)
    await who.signIn(`http://localhost:${port}/protected/`)
    assert.match(who.html, /page protected/, `${who.hops.join('\n')}\n${who.html}`)
    assert.equal(who.headers.get('who'), email)
    return who
  }

  const info = async (who, port) => (await who.request(`http://localhost:${port}/protected/callback?info=json`)).json()
  const inside = async (who) => (await who.request(`http://localhost:${WEB_PORT}/protected/`)).status === 200

  try {
    await flow('code', async () => {
      const who = await open(WEB_PORT)
      const facts = await info(who, WEB_PORT)
      assert.equal(facts.id_token.iss, issuer)
      assert.equal(facts.userinfo.email, email)
    })

    await flow('form_post', async () => { await open(POST_PORT) })

    await flow('refresh', async () => {
      const who = await open(WEB_PORT)
      const first = await info(who, WEB_PORT)
      await who.visit(`http://localhost:${WEB_PORT}/protected/callback?refresh=${encodeURIComponent(`http://localhost:${WEB_PORT}/protected/`)}&access_token=${first.access_token}`)
      assert.match(who.html, /page protected/)
      const second = await info(who, WEB_PORT)
      assert.notEqual(second.access_token, first.access_token)
      assert.notEqual(second.refresh_token, first.refresh_token)
    })

    await flow('jar', async () => { await open(SIGNED_PORT) })

    await flow('encryption', async () => { await open(ENCRYPTED_PORT) })

    await flow('logout', async () => {
      const who = await open(WEB_PORT)
      const landed = await who.leave(`http://localhost:${WEB_PORT}/protected/callback?logout=${encodeURIComponent(bye)}`)
      assert.equal(landed.origin + landed.pathname, bye)
      assert.equal(await inside(who), false)
      await who.visit(`${issuer}/account`)
      assert.match(who.html, /name="identifier"/)
    })

    await flow('backchannel_logout', async () => {
      const who = await open(WEB_PORT)
      assert.equal(await inside(who), true)
      // Signed out at the provider, by somebody who does not look at the pages that follow.
      await who.signOutAt(issuer)
      await until('the session at Apache to end', async () => !await inside(who))
    })

    await flow('frontchannel_logout', async () => {
      const who = await open(WEB_PORT)
      await who.signOutAt(issuer)
      const [frame] = await who.frames()
      assert.equal(frame?.searchParams.get('iss'), issuer, who.html)
      assert.ok(frame.searchParams.get('sid'))
      assert.equal(await inside(who), false)
    })

    const post = (path, id, parameters) => fetch(`${issuer}${path}`, {
      method: 'POST', headers: { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` }, body: new URLSearchParams(parameters)
    })
    const token = async (id) => (await (await post('/oauth2/token', id, { grant_type: 'client_credentials', scope: 'orders.read', resource: audience })).json()).access_token
    const call = async (port, token) => (await fetch(`http://localhost:${port}/api/`, { headers: { authorization: `Bearer ${token}` } })).status

    await flow('api_jwt', async () => {
      const good = await token('machine')
      assert.equal(await call(JWT_PORT, good), 200)
      assert.equal(await call(JWT_PORT, good.slice(0, -4) + 'AAAA'), 401)
    })

    await flow('api_opaque', async () => {
      const good = await token('opaque')
      assert.equal(await call(OPAQUE_PORT, good), 200)
      assert.equal((await post('/oauth2/revoke', 'opaque', { token: good })).status, 200)
      assert.notEqual(await call(OPAQUE_PORT, good), 200)
    })
  } finally {
    const log = existsSync(join(dir, 'error.log')) ? readFileSync(join(dir, 'error.log'), 'utf8') : ''
    if ([...rig.results.values()].some((r) => !r.ok)) console.error(log.slice(-6000))
  }
}
