import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { until } from '../../lib/processes.mjs'
import { audience, bye, secret } from '../rig.mjs'
import { jwt, keyPair } from '../keys.mjs'
import { Surfer, email } from '../people.mjs'

export async function run (rig) {
  const { flow, issuer } = rig
  const app = `http://localhost:${rig.port}`
  const program = await rig.application(process.env.INTEROP_JAVA ?? 'java', [
    '-XX:TieredStopAtLevel=1', '-Xmx256m', '-jar', process.env.INTEROP_SPRING, `--server.port=${rig.port}`
  ])

  /** Signs in by a registration of the application; its page says who that is. */
  async function open (registration = 'web') {
    const who = new Surfer(issuer)
    await who.signIn(`${app}/oauth2/authorization/${registration}`)
    assert.equal(who.url, `${app}/me`, `${who.hops?.join('\n')}\n${who.html}`)
    return Object.assign(who, { me: JSON.parse(who.html) })
  }

  async function page (who, path) {
    await who.visit(`${app}${path}`)
    assert.equal(who.status, 200, who.html)
    return JSON.parse(who.html)
  }

  const inside = async (who) => (await who.request(`${app}/me`)).status === 200

  await flow('code', async () => {
    const { me } = await open()
    assert.equal(me.id_token.iss, issuer)
    assert.equal(me.userinfo.email, email)
  })

  await flow('refresh', async () => {
    const tokens = await page(await open(), '/refresh')
    assert.notEqual(tokens.after, tokens.before)
    assert.notEqual(tokens.new, tokens.old)
  })

  await flow('private_key_jwt', async () => {
    assert.equal((await open('keyed')).me.userinfo.email, email)
  })

  await flow('client_credentials', async () => {
    assert.ok((await page(await open(), '/machine')).access_token)
  })

  await flow('token_exchange', async () => {
    const who = await open('orders')
    const { access_token: token } = await page(who, '/exchange')
    const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'))
    assert.equal(claims.sub, who.me.id_token.sub)
    assert.equal(claims.act?.sub, 'exchanger')
    assert.deepEqual([claims.aud].flat(), [audience])
  })

  await flow('logout', async () => {
    const who = await open()
    const landed = await who.leave(`${app}/logout`, { method: 'POST' })
    assert.equal(landed.origin + landed.pathname, bye)
    assert.equal(await inside(who), false)
    await who.visit(`${issuer}/account`)
    assert.match(who.html, /name="identifier"/)
  })

  await flow('backchannel_logout', async () => {
    const who = await open()
    assert.equal(await inside(who), true)
    await who.signOutAt(issuer)
    await until('the session of the application to end', async () => !await inside(who))
  })

  /** A token for the API, with a proof of the key if there is one (RFC 9449 §4.2). */
  async function token (id, key) {
    const url = `${issuer}/oauth2/token`
    const answer = await (await fetch(url, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`, ...(key && { dpop: proof(key, 'POST', url) }) },
      body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'orders.read', resource: audience })
    })).json()
    assert.ok(answer.access_token, JSON.stringify(answer))
    return answer.access_token
  }
  const call = async (path, headers) => (await fetch(`${app}${path}`, { headers })).status

  await flow('api_jwt', async () => {
    const good = await token('machine')
    assert.equal(await call('/api/jwt', { authorization: `Bearer ${good}` }), 200)
    assert.equal(await call('/api/jwt', { authorization: `Bearer ${good.slice(0, -8)}AAAAAAAA` }), 401)
  })

  await flow('api_opaque', async () => {
    assert.equal(await call('/api/opaque', { authorization: `Bearer ${await token('opaque')}` }), 200)
    assert.equal(await call('/api/opaque', { authorization: 'Bearer nonsense' }), 401)
  })

  await flow('api_dpop', async () => {
    const key = keyPair('proof')
    const good = await token('machine', key)
    const with_ = (proof) => ({ authorization: `DPoP ${good}`, dpop: proof })
    assert.equal(await call('/api/jwt', with_(proof(key, 'GET', `${app}/api/jwt`, good))), 200)
    assert.equal(await call('/api/jwt', with_(proof(keyPair('other'), 'GET', `${app}/api/jwt`, good))), 401)
    assert.equal(await call('/api/jwt', { authorization: `Bearer ${good}` }), 401, 'RFC 9449 §7.2')
  })

  if ([...rig.results.values()].some((r) => !r.ok)) console.error(program.output.split('\n').filter((line) => !/^\s+at /.test(line)).join('\n').slice(-4000))
}

/** A DPoP proof. */
function proof (pair, htm, htu, token) {
  const { kty, crv, x, y } = pair.public
  return jwt(pair, { typ: 'dpop+jwt', jwk: { kty, crv, x, y } }, {
    jti: randomUUID(), htm, htu, iat: Math.floor(Date.now() / 1000), ...(token && { ath: createHash('sha256').update(token).digest('base64url') })
  })
}
