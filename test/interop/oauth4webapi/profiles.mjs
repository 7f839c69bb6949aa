// What the profiles for high security ask for, and what few applications still do.
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { Agent, fetch as undiciFetch } from 'undici'
import { audience, callback } from '../rig.mjs'

const secure = callback.replace('http:', 'https:') // FAPI takes no other

export async function profiles (rig, { as, basic, byKey, address, again, push, signed, signIn, knows, machine, proofs }) {
  const { flow } = rig

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

  await flow('introspection_jwt', async () => {
    const client = { client_id: 'machine', introspection_signed_response_alg: 'ES256' }
    const token = await machine(client, basic)
    const response = await oauth.introspectionRequest(as, client, basic, token.access_token)
    const facts = await oauth.processIntrospectionResponse(as, client, response)
    assert.equal(facts.active, true)
    await oauth.validateApplicationLevelSignature(as, response)
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
    for (const alg of ['ES256', 'PS256']) {
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
      more: { redirect_uri: secure }, options, build: (asked) => push(client, byKey, asked.parameters, options)
    }), options)
  })

  await flow('message_signing', async () => {
    const client = { client_id: 'signing', authorization_signed_response_alg: 'ES256' }
    const options = await proofs(client)
    await knows(client, await signIn(client, byKey, {
      more: { redirect_uri: secure, response_mode: 'jwt' },
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
