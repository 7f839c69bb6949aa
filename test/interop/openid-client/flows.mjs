// What most applications do.
import assert from 'node:assert/strict'
import { json } from 'node:stream/consumers'
import * as oidc from 'openid-client'
import { audience, bye, callback, secret } from '../rig.mjs'
import { jwt } from '../keys.mjs'
import { email } from '../people.mjs'
import { party, scope } from './rp.mjs'
import { profiles } from './profiles.mjs'

export async function run (rig) {
  const { flow, issuer } = rig
  const rp = await party(rig)
  const { signing, discover, signIn, knows } = rp

  await flow('code', async () => {
    const config = await discover('web', undefined, undefined, [oidc.enableNonRepudiationChecks])
    const { tokens, landed } = await signIn(config)
    assert.equal(landed.searchParams.get('iss'), issuer, 'RFC 9207')
    await knows(config, tokens)
  })

  await flow('public', async () => {
    const config = await discover('public', oidc.None())
    const { tokens } = await signIn(config)
    await knows(config, tokens)
  })

  await flow('form_post', async () => {
    const config = await discover('web')
    const { person } = await signIn(config, { more: { response_mode: 'form_post' } })
    assert.ok(person.posted.code, 'the answer was posted')
  })

  await flow('refresh', async () => {
    const config = await discover('web')
    const { tokens } = await signIn(config)
    const second = await oidc.refreshTokenGrant(config, tokens.refresh_token)
    assert.notEqual(second.refresh_token, tokens.refresh_token, 'rotation')
    assert.equal(second.claims().sub, tokens.claims().sub)
    await knows(config, second)
  })

  await flow('private_key_jwt', async () => {
    const config = await discover('keyed', oidc.PrivateKeyJwt(signing))
    const { tokens } = await signIn(config)
    assert.equal((await oidc.refreshTokenGrant(config, tokens.refresh_token)).claims().sub, tokens.claims().sub)
  })

  await flow('client_secret_jwt', async () => {
    const config = await discover('symmetric', oidc.ClientSecretJwt(secret))
    const { tokens } = await signIn(config)
    await knows(config, tokens)
  })

  await flow('client_credentials', async () => {
    const config = await discover('machine')
    const token = await oidc.clientCredentialsGrant(config, { scope: 'orders.read', resource: audience })
    assert.ok(token.access_token)
    await assert.rejects(oidc.clientCredentialsGrant(config, { scope: 'orders.write', resource: audience }), { error: 'invalid_scope' })
  })

  await flow('introspection', async () => {
    const config = await discover('machine')
    const token = await oidc.clientCredentialsGrant(config, { scope: 'orders.read', resource: audience })
    const facts = await oidc.tokenIntrospection(config, token.access_token)
    assert.equal(facts.active, true)
    assert.equal(facts.client_id, 'machine')
    assert.equal((await oidc.tokenIntrospection(config, 'nonsense')).active, false)
  })

  await flow('revocation', async () => {
    const config = await discover('web')
    const { tokens } = await signIn(config)
    await oidc.tokenRevocation(config, tokens.refresh_token)
    await assert.rejects(oidc.refreshTokenGrant(config, tokens.refresh_token), { error: 'invalid_grant' })
  })

  await flow('device', async () => {
    const config = await discover('tv', oidc.None())
    const started = await oidc.initiateDeviceAuthorization(config, { scope })
    const polling = oidc.pollDeviceAuthorizationGrant(config, started)
    polling.catch(() => {})
    await rig.person().allowDevice(started.verification_uri, started.user_code)
    const tokens = await polling
    await knows(config, tokens)
    assert.ok((await oidc.refreshTokenGrant(config, tokens.refresh_token)).access_token)

    const second = await oidc.initiateDeviceAuthorization(config, { scope: 'openid' })
    const person = rig.person()
    await person.allowDevice(second.verification_uri_complete, second.user_code)
    assert.ok((await oidc.pollDeviceAuthorizationGrant(config, second)).id_token, 'by verification_uri_complete')
  }, { seconds: 90 })

  await flow('ciba', async () => {
    const config = await discover('asker')
    const asked = await oidc.initiateBackchannelAuthentication(config, { scope, login_hint: email, binding_message: 'W4SCT' })
    const polling = oidc.pollBackchannelAuthenticationGrant(config, asked)
    polling.catch(() => {})
    const person = rig.person()
    await person.answerAsked('allow', 'W4SCT')
    const tokens = await polling
    await knows(config, tokens)
    assert.ok((await oidc.refreshTokenGrant(config, tokens.refresh_token)).access_token)

    const again = await oidc.initiateBackchannelAuthentication(config, { scope: 'openid', id_token_hint: tokens.id_token })
    await person.answerAsked('deny')
    await assert.rejects(oidc.pollBackchannelAuthenticationGrant(config, again), { error: 'access_denied' })
    await assert.rejects(oidc.initiateBackchannelAuthentication(config, { scope, login_hint: 'nobody@example.com' }), { error: 'unknown_user_id' })
  }, { seconds: 90 })

  await flow('ciba_ping', async () => {
    const config = await discover('pinged')
    const token = oidc.randomState()
    const pinged = new Promise((resolve) => {
      rig.pinged = async (req) => resolve({ authorization: req.headers.authorization, body: await json(req) })
    })
    const asked = await oidc.initiateBackchannelAuthentication(config, { scope, login_hint: email, client_notification_token: token })
    await rig.person().answerAsked('allow')
    assert.deepEqual(await pinged, { authorization: `Bearer ${token}`, body: { auth_req_id: asked.auth_req_id } })
    await knows(config, await oidc.pollBackchannelAuthenticationGrant(config, asked))
  }, { seconds: 90 })

  await flow('token_exchange', async () => {
    const config = await discover('web')
    const { tokens } = await signIn(config, { more: { scope: 'openid orders.read', resource: audience } })
    const exchanger = await discover('exchanger')
    const kind = 'urn:ietf:params:oauth:token-type:access_token'
    const other = await oidc.genericGrantRequest(exchanger, 'urn:ietf:params:oauth:grant-type:token-exchange', {
      subject_token: tokens.access_token, subject_token_type: kind, resource: audience, scope: 'orders.read'
    })
    assert.equal(other.issued_token_type, kind)
    const facts = await oidc.tokenIntrospection(exchanger, other.access_token)
    assert.equal(facts.sub, tokens.claims().sub)
    assert.equal(facts.act?.sub, 'exchanger', 'RFC 8693 §4.1')
  })

  await flow('jwt_bearer', async () => {
    const config = await discover('deploy')
    const now = Math.floor(Date.now() / 1000)
    const assertion = jwt(rig.keys.sig, { kid: rig.keys.sig.public.kid }, {
      iss: 'https://ci.example.com', sub: email, aud: issuer, iat: now, exp: now + 60, jti: oidc.randomState()
    })
    const ask = () => oidc.genericGrantRequest(config, 'urn:ietf:params:oauth:grant-type:jwt-bearer', { assertion, scope: 'orders.read', resource: audience })
    const facts = await oidc.tokenIntrospection(config, (await ask()).access_token)
    assert.equal(facts.scope, 'orders.read')
    await assert.rejects(ask(), { error: 'invalid_grant' }, 'RFC 7523 §3: an assertion is good once')
  })

  await flow('registration', async () => {
    const initialAccessToken = JSON.parse(await rig.provider.cli('registration-token', 'create', '--json')).token
    const config = await oidc.dynamicClientRegistration(new URL(issuer), {
      client_name: 'Registered', redirect_uris: [callback], grant_types: ['authorization_code', 'refresh_token'],
      id_token_signed_response_alg: 'ES256', token_endpoint_auth_method: 'client_secret_post' // what the library uses unless it is told
    }, undefined, { execute: [oidc.allowInsecureRequests], initialAccessToken })
    const { tokens } = await signIn(config)
    await knows(config, tokens)
    const { registration_client_uri: place, registration_access_token: token } = config.clientMetadata()
    const headers = { authorization: `Bearer ${token}` }
    const read = await (await fetch(place, { headers })).json()
    assert.equal(read.client_name, 'Registered', 'RFC 7592 §2.1')
    assert.equal((await fetch(place, { method: 'DELETE', headers: { authorization: `Bearer ${read.registration_access_token ?? token}` } })).status, 204)
  })

  await flow('logout', async () => {
    const config = await discover('web')
    const { tokens, person } = await signIn(config)
    const landed = await person.leave(oidc.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: bye, state: 'kept' }))
    assert.equal(String(landed), `${bye}?state=kept`)
    await assert.rejects(oidc.refreshTokenGrant(config, tokens.refresh_token), { error: 'invalid_grant' })
  })

  await profiles(rig, rp)
}
