import assert from 'node:assert/strict'
import * as oidc from 'openid-client'
import { audience, bye, callback, email, name, secret } from '../rig.mjs'

const scope = 'openid profile email offline_access'
const insecure = { execute: [oidc.allowInsecureRequests] } // http, on this machine

export async function run (rig) {
  const { flow, issuer } = rig
  const key = await crypto.subtle.importKey('jwk', { ...rig.keys.sig.private, use: undefined }, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
  const signing = { key, kid: rig.keys.sig.private.kid }
  const discover = (id, auth = oidc.ClientSecretBasic(secret), metadata, extra = []) =>
    oidc.discovery(new URL(issuer), id, metadata, auth, { execute: [...insecure.execute, ...extra] })

  /** What a request and the check of its answer have in common. */
  async function request (more = {}) {
    const verifier = oidc.randomPKCECodeVerifier()
    const state = oidc.randomState()
    const nonce = oidc.randomNonce()
    return {
      parameters: {
        redirect_uri: callback, scope, state, nonce, code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...more
      },
      checks: { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true }
    }
  }

  /** The whole flow; `build` makes the address that the browser is sent to. */
  async function signIn (config, { more, build = oidc.buildAuthorizationUrl, options, person = rig.person() } = {}) {
    const { parameters, checks } = await request(more)
    const landed = await person.enter(await build(config, parameters))
    const answer = person.posted
      ? new Request(landed, { method: 'POST', body: new URLSearchParams(person.posted) })
      : landed
    const tokens = await oidc.authorizationCodeGrant(config, answer, checks, undefined, options)
    assert.equal(tokens.claims().iss, issuer)
    return { tokens, person, landed }
  }

  async function knows (config, tokens, options) {
    const info = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub, options)
    assert.equal(info.email, email)
    assert.equal(info.name, name)
  }

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

  await flow('par', async () => {
    const config = await discover('par')
    let address
    const { tokens, person } = await signIn(config, {
      build: async (config, parameters) => { address = await oidc.buildAuthorizationUrlWithPAR(config, parameters); return address }
    })
    assert.deepEqual([...address.searchParams.keys()].sort(), ['client_id', 'request_uri'])
    await knows(config, tokens)
    assert.equal(await person.visit(address), undefined, 'RFC 9126 §4: a request_uri is good once')
    // RFC 9126 §5: this client may not do without.
    const { parameters } = await request()
    const refused = await rig.person().visit(oidc.buildAuthorizationUrl(config, parameters))
    assert.equal(refused?.searchParams.get('error'), 'invalid_request')
  })

  await flow('jar', async () => {
    const config = await discover('jar')
    const { tokens } = await signIn(config, { build: (config, parameters) => oidc.buildAuthorizationUrlWithJAR(config, parameters, signing) })
    await knows(config, tokens)
  })

  await flow('jarm', async () => {
    const config = await discover('jarm', undefined, { authorization_signed_response_alg: 'ES256' }, [oidc.useJwtResponseMode])
    const { tokens, landed } = await signIn(config)
    assert.deepEqual([...landed.searchParams.keys()], ['response'])
    await knows(config, tokens)
  })

  await flow('dpop', async () => {
    const config = await discover('dpop')
    const options = { DPoP: oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256')) }
    const { tokens } = await signIn(config, { options })
    assert.equal(tokens.token_type, 'dpop')
    await knows(config, tokens, options)
    const second = await oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, options)
    assert.equal(second.token_type, 'dpop')
    const other = { DPoP: oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256')) }
    await assert.rejects(oidc.fetchUserInfo(config, second.access_token, second.claims().sub, other), 'RFC 9449 §7.1: another key')
    await assert.rejects(oidc.fetchUserInfo(config, second.access_token, second.claims().sub), 'RFC 9449 §7.2: as a bearer token')
    await assert.rejects(signIn(config), { error: 'invalid_dpop_proof' }, 'RFC 9449 §5.2: this client may not do without')
  })

  await flow('fapi', async () => {
    const config = await discover('fapi', oidc.PrivateKeyJwt(signing))
    const options = { DPoP: oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256')) }
    const { tokens } = await signIn(config, {
      more: { redirect_uri: callback.replace('http:', 'https:') }, options,
      build: (config, parameters) => oidc.buildAuthorizationUrlWithPAR(config, parameters, options)
    })
    await knows(config, tokens, options)
  })

  await flow('message_signing', async () => {
    const metadata = { authorization_signed_response_alg: 'ES256' }
    const config = await discover('signing', oidc.PrivateKeyJwt(signing), metadata, [oidc.useJwtResponseMode, oidc.enableNonRepudiationChecks])
    const options = { DPoP: oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256')) }
    const { tokens, landed } = await signIn(config, {
      more: { redirect_uri: callback.replace('http:', 'https:') }, options,
      build: async (config, parameters) => {
        const signed = await oidc.buildAuthorizationUrlWithJAR(config, parameters, signing)
        return oidc.buildAuthorizationUrlWithPAR(config, signed.searchParams, options)
      }
    })
    assert.deepEqual([...landed.searchParams.keys()], ['response'])
    await knows(config, tokens, options)
  })

  await flow('rar', async () => {
    const config = await discover('rar')
    const wanted = [{ type: 'payment_initiation', instructedAmount: { currency: 'EUR', amount: '12.50' }, creditorName: 'Example Shop' }]
    const { tokens } = await signIn(config, { more: { authorization_details: JSON.stringify(wanted) } })
    assert.deepEqual(tokens.authorization_details, wanted)
    assert.deepEqual((await oidc.tokenIntrospection(config, tokens.access_token)).authorization_details, wanted)
  })

  await flow('encryption', async () => {
    const config = await discover('encrypted')
    const { kid, use, ...jwk } = rig.keys.rsa.private
    const decryption = await crypto.subtle.importKey('jwk', jwk, { name: 'RSA-OAEP', hash: 'SHA-256' }, false, ['decrypt'])
    oidc.enableDecryptingResponses(config, ['A256GCM'], { key: decryption, kid, alg: 'RSA-OAEP-256' })
    const { tokens } = await signIn(config)
    assert.equal(tokens.id_token.split('.').length, 5)
    await knows(config, tokens)
  })

  await flow('hybrid', async () => {
    const config = await discover('hybrid', undefined, undefined, [oidc.useCodeIdTokenResponseType])
    const { tokens, landed } = await signIn(config)
    assert.match(landed.hash, /id_token=/)
    await knows(config, tokens)
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

  await flow('registration', async () => {
    const initialAccessToken = JSON.parse(await rig.provider.cli('registration-token', 'create', '--json')).token
    const config = await oidc.dynamicClientRegistration(new URL(issuer), {
      client_name: 'Registered', redirect_uris: [callback], grant_types: ['authorization_code', 'refresh_token'],
      id_token_signed_response_alg: 'ES256', token_endpoint_auth_method: 'client_secret_post' // what the library uses unless it is told
    }, undefined, { ...insecure, initialAccessToken })
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
}
