// What the profiles for high security ask for, and what few applications still do.
import assert from 'node:assert/strict'
import * as oidc from 'openid-client'
import { callback } from '../rig.mjs'
import { email, name } from '../people.mjs'

const secure = callback.replace('http:', 'https:') // FAPI takes no other

export async function profiles (rig, { signing, discover, request, signIn, knows }) {
  const { flow } = rig

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
      more: { redirect_uri: secure }, options,
      build: (config, parameters) => oidc.buildAuthorizationUrlWithPAR(config, parameters, options)
    })
    await knows(config, tokens, options)
  })

  await flow('message_signing', async () => {
    const metadata = { authorization_signed_response_alg: 'ES256' }
    const config = await discover('signing', oidc.PrivateKeyJwt(signing), metadata, [oidc.useJwtResponseMode, oidc.enableNonRepudiationChecks])
    const options = { DPoP: oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256')) }
    const { tokens, landed } = await signIn(config, {
      more: { redirect_uri: secure }, options,
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

  await flow('implicit', async () => {
    const config = await discover('implicit', undefined, undefined, [oidc.useIdTokenResponseType])
    const { parameters: { code_challenge: _, code_challenge_method: __, ...parameters }, checks } = await request({ scope: 'openid email' })
    const landed = await rig.person().enter(oidc.buildAuthorizationUrl(config, parameters))
    const claims = await oidc.implicitAuthentication(config, landed, checks.expectedNonce, { expectedState: checks.expectedState })
    assert.equal(claims.email, email, 'OpenID Connect Core §5.4: there is no other place for it')
  })

  await flow('claims', async () => {
    const config = await discover('informed', undefined, { userinfo_signed_response_alg: 'ES256' })
    const claims = JSON.stringify({ id_token: { email: { essential: true } }, userinfo: { name: null } })
    const { tokens } = await signIn(config, { more: { scope: 'openid', claims } })
    assert.equal(tokens.claims().email, email)
    const info = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)
    assert.deepEqual([info.name, info.email], [name, undefined])
  })

  await flow('userinfo_jwt', async () => {
    const config = await discover('informed', undefined, { userinfo_signed_response_alg: 'ES256' }, [oidc.enableNonRepudiationChecks])
    const { tokens } = await signIn(config, { more: { scope: 'openid profile email' } })
    await knows(config, tokens)
  })
}
