import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { Agent, fetch as undiciFetch } from 'undici'
import { setTimeout as pause } from 'node:timers/promises'
import { audience, bye, callback, email, name, secret } from '../rig.mjs'

const scope = 'openid profile email offline_access'

export async function run (rig) {
  const { flow } = rig
  const issuer = new URL(rig.issuer)
  const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer))
  const key = await crypto.subtle.importKey('jwk', { ...rig.keys.sig.private, use: undefined }, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
  const signing = { key, kid: rig.keys.sig.private.kid }
  const basic = oauth.ClientSecretBasic(secret)
  const byKey = oauth.PrivateKeyJwt(signing)

  async function request (client, more = {}) {
    const verifier = oauth.generateRandomCodeVerifier()
    const state = oauth.generateRandomState()
    const nonce = oauth.generateRandomNonce()
    const parameters = new URLSearchParams({
      client_id: client.client_id, response_type: 'code', redirect_uri: callback, scope, state, nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...more
    })
    return { parameters, verifier, state, nonce }
  }

  const address = (parameters) => {
    const url = new URL(as.authorization_endpoint)
    url.search = new URLSearchParams(parameters)
    return url
  }

  /** A request may be answered with the demand for a nonce, once (RFC 9449 §8). */
  async function again (run) {
    try {
      return await run()
    } catch (err) {
      if (!oauth.isDPoPNonceError(err)) throw err
      return run()
    }
  }

  async function push (client, auth, parameters, options) {
    const { request_uri: place } = await again(async () => oauth.processPushedAuthorizationResponse(as, client,
      await oauth.pushedAuthorizationRequest(as, client, auth, parameters, options)))
    return address({ client_id: client.client_id, request_uri: place })
  }

  const signed = async (client, parameters) => ({ client_id: client.client_id, request: await oauth.issueRequestObject(as, client, parameters, signing) })

  /** The whole flow; `build` makes the address, `read` checks the answer. */
  async function signIn (client, auth, { more, options, build = (asked) => address(asked.parameters), read } = {}) {
    const asked = await request(client, more)
    const person = rig.person()
    const landed = await person.enter(await build(asked))
    const answer = await (read?.(landed, asked) ?? oauth.validateAuthResponse(as, client, landed, asked.state))
    const tokens = await again(async () => oauth.processAuthorizationCodeResponse(as, client,
      await oauth.authorizationCodeGrantRequest(as, client, auth, answer, asked.parameters.get('redirect_uri'), asked.verifier, options),
      { expectedNonce: asked.nonce, requireIdToken: true }))
    return { tokens, person, claims: oauth.getValidatedIdTokenClaims(tokens) }
  }

  async function knows (client, { tokens, claims }, options) {
    const info = await again(async () => oauth.processUserInfoResponse(as, client, claims.sub, await oauth.userInfoRequest(as, client, tokens.access_token, options)))
    assert.equal(info.email, email)
    assert.equal(info.name, name)
  }

  const machine = async (client, auth, options, parameters = { scope: 'orders.read', resource: audience }) => again(async () =>
    oauth.processClientCredentialsResponse(as, client, await oauth.clientCredentialsGrantRequest(as, client, auth, parameters, options)))

  const proofs = async (client, alg = 'ES256') => ({ DPoP: oauth.DPoP(client, await oauth.generateKeyPair(alg)) })

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

  await flow('mtls', async () => {
    const client = { client_id: 'tls', use_mtls_endpoint_aliases: true }
    const dispatcher = new Agent({ connect: { cert: rig.certificate.cert, key: rig.certificate.key, ca: rig.ca } })
    const options = { [oauth.customFetch]: (url, init) => undiciFetch(url, { ...init, dispatcher }) }
    const done = await signIn(client, oauth.TlsClientAuth(), { options })
    await knows(client, done, options)
    const { cnf } = JSON.parse(Buffer.from(done.tokens.access_token.split('.')[1], 'base64url'))
    assert.ok(cnf['x5t#S256'], 'RFC 8705 §3.1')
    await assert.rejects(knows(client, done), 'RFC 8705 §3: without the certificate')
    await dispatcher.close()
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

  await flow('introspection_jwt', async () => {
    const client = { client_id: 'machine', introspection_signed_response_alg: 'ES256' }
    const token = await machine(client, basic)
    const response = await oauth.introspectionRequest(as, client, basic, token.access_token)
    const facts = await oauth.processIntrospectionResponse(as, client, response)
    assert.equal(facts.active, true)
    await oauth.validateApplicationLevelSignature(as, response)
  })

  await flow('revocation', async () => {
    const client = { client_id: 'web' }
    const { tokens } = await signIn(client, basic)
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, basic, tokens.refresh_token))
    await assert.rejects(async () => oauth.processRefreshTokenResponse(as, client,
      await oauth.refreshTokenGrantRequest(as, client, basic, tokens.refresh_token)), { error: 'invalid_grant' })
  })

  await flow('par', async () => {
    const client = { client_id: 'web' }
    await knows(client, await signIn(client, basic, { build: (asked) => push(client, basic, asked.parameters) }))
  })

  await flow('jar', async () => {
    const client = { client_id: 'jar' }
    await knows(client, await signIn(client, basic, { build: async (asked) => address(await signed(client, asked.parameters)) }))
  })

  await flow('jarm', async () => {
    const client = { client_id: 'jarm', authorization_signed_response_alg: 'ES256' }
    const read = (landed, asked) => oauth.validateJwtAuthResponse(as, client, landed, asked.state)
    await knows(client, await signIn(client, basic, { more: { response_mode: 'query.jwt' }, read }))
  })

  await flow('dpop', async () => {
    for (const alg of ['ES256', 'PS256', 'Ed25519'].filter((alg) => alg !== 'Ed25519' || as.dpop_signing_alg_values_supported?.some((a) => a === 'Ed25519'))) {
      const client = { client_id: 'dpop' }
      const options = await proofs(client, alg)
      const done = await signIn(client, basic, { options })
      await knows(client, done, options)
      const second = await again(async () => oauth.processRefreshTokenResponse(as, client,
        await oauth.refreshTokenGrantRequest(as, client, basic, done.tokens.refresh_token, options)))
      assert.equal(second.token_type, 'dpop')
    }
  })

  await flow('fapi', async () => {
    const client = { client_id: 'fapi' }
    const options = await proofs(client)
    await knows(client, await signIn(client, byKey, {
      more: { redirect_uri: callback.replace('http:', 'https:') }, options, build: (asked) => push(client, byKey, asked.parameters, options)
    }), options)
  })

  await flow('message_signing', async () => {
    const client = { client_id: 'signing', authorization_signed_response_alg: 'ES256' }
    const options = await proofs(client)
    await knows(client, await signIn(client, byKey, {
      more: { redirect_uri: callback.replace('http:', 'https:'), response_mode: 'jwt' },
      options,
      build: async (asked) => push(client, byKey, await signed(client, asked.parameters), options),
      read: (landed, asked) => oauth.validateJwtAuthResponse(as, client, landed, asked.state)
    }), options)
  })

  await flow('hybrid', async () => {
    const client = { client_id: 'hybrid' }
    await knows(client, await signIn(client, basic, {
      more: { response_type: 'code id_token' },
      read: (landed, asked) => oauth.validateCodeIdTokenResponse(as, client, landed, asked.nonce, asked.state)
    }))
  })

  await flow('device', async () => {
    const client = { client_id: 'tv' }
    const started = await oauth.processDeviceAuthorizationResponse(as, client, await oauth.deviceAuthorizationRequest(as, client, oauth.None(), { scope }))
    const poll = async () => oauth.processDeviceCodeResponse(as, client, await oauth.deviceCodeGrantRequest(as, client, oauth.None(), started.device_code))
    await assert.rejects(poll(), { error: 'authorization_pending' })
    await assert.rejects(poll(), { error: 'slow_down' }, 'RFC 8628 §3.5')
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

  await flow('api_dpop', async () => {
    const client = { client_id: 'robot' }
    const options = await proofs(client)
    const token = await machine(client, byKey, options)
    let seen
    await oauth.protectedResourceRequest(token.access_token, 'GET', new URL(audience), undefined, undefined, {
      ...options,
      [oauth.customFetch]: async (url, init) => { seen = new Request(url, init); return new Response('{}') }
    })
    const claims = await oauth.validateJwtAccessToken(as, seen, audience, { requireDPoP: true })
    assert.equal(claims.client_id, 'robot')
    assert.ok(claims.cnf.jkt)
  })
}
