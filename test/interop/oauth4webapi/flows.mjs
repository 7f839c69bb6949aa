// What most applications do.
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { setTimeout as pause } from 'node:timers/promises'
import { audience, bye, callback } from '../rig.mjs'
import { party, scope } from './rp.mjs'
import { profiles } from './profiles.mjs'

export async function run (rig) {
  const { flow } = rig
  const rp = await party(rig)
  const { as, basic, byKey, signIn, knows, machine } = rp

  await flow('code', async () => {
    const client = { client_id: 'web' }
    const done = await signIn(client, basic)
    await knows(client, done)
  })

  await flow('refresh', async () => {
    const client = { client_id: 'web' }
    const { tokens, claims } = await signIn(client, basic)
    const second = await oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, basic, tokens.refresh_token))
    assert.notEqual(second.refresh_token, tokens.refresh_token)
    assert.equal(oauth.getValidatedIdTokenClaims(second).sub, claims.sub)
  })

  await flow('private_key_jwt', async () => {
    const client = { client_id: 'keyed' }
    await knows(client, await signIn(client, byKey))
  })

  await flow('client_credentials', async () => {
    await machine({ client_id: 'machine' }, basic)
  })

  await flow('introspection', async () => {
    const client = { client_id: 'machine' }
    const token = await machine(client, basic)
    const ask = async (token) => oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, basic, token))
    assert.equal((await ask(token.access_token)).active, true)
    assert.equal((await ask('nonsense')).active, false)
  })

  await flow('revocation', async () => {
    const client = { client_id: 'web' }
    const { tokens } = await signIn(client, basic)
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, basic, tokens.refresh_token))
    await assert.rejects(async () => oauth.processRefreshTokenResponse(as, client,
      await oauth.refreshTokenGrantRequest(as, client, basic, tokens.refresh_token)), { error: 'invalid_grant' })
  })

  await flow('device', async () => {
    const client = { client_id: 'tv' }
    const started = await oauth.processDeviceAuthorizationResponse(as, client, await oauth.deviceAuthorizationRequest(as, client, oauth.None(), { scope }))
    const poll = async () => oauth.processDeviceCodeResponse(as, client, await oauth.deviceCodeGrantRequest(as, client, oauth.None(), started.device_code))
    const told = []
    while (told.length < 30 && !told.includes('slow_down')) told.push(await poll().then(() => 'a token', (err) => err.error))
    assert.deepEqual([told[0], told.at(-1)], ['authorization_pending', 'slow_down'], 'RFC 8628 §3.5')
    await rig.person().allowDevice(started.verification_uri, started.user_code)
    await pause(((started.interval ?? 5) + 5) * 1000 + 100)
    const tokens = await poll()
    await knows(client, { tokens, claims: oauth.getValidatedIdTokenClaims(tokens) })
    await assert.rejects(poll(), 'a device code is good once')
  }, { seconds: 90 })

  await flow('registration', async () => {
    const wanted = {
      client_name: 'Registered', redirect_uris: [callback], token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [rig.keys.sig.public] },
      id_token_signed_response_alg: 'ES256', scope: 'openid profile email'
    }
    const client = await oauth.processDynamicClientRegistrationResponse(await oauth.dynamicClientRegistrationRequest(as, wanted))
    assert.equal(client.client_secret, undefined)
    await knows(client, await signIn(client, byKey, { more: { scope: 'openid profile email' } }))
  })

  await flow('logout', async () => {
    const client = { client_id: 'web' }
    const { tokens, person } = await signIn(client, basic)
    const url = new URL(as.end_session_endpoint)
    url.search = new URLSearchParams({ id_token_hint: tokens.id_token, post_logout_redirect_uri: bye, state: 'kept' })
    assert.equal(String(await person.leave(url)), `${bye}?state=kept`)
  })

  await flow('api_jwt', async () => {
    const token = await machine({ client_id: 'machine' }, basic)
    const claims = await oauth.validateJwtAccessToken(as, new Request(audience, { headers: { authorization: `Bearer ${token.access_token}` } }), audience)
    assert.equal(claims.client_id, 'machine')
    assert.equal(claims.scope, 'orders.read')
  })

  await profiles(rig, rp)
}
