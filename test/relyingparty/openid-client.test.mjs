// openid-client, the widest strict client for Node, against the real server.
import { test, before, after, describe } from 'node:test'
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as oidc from 'openid-client'
import { startDev, password } from '../lib/signet.mjs'
import { Person } from '../lib/person.mjs'
import { until } from '../lib/processes.mjs'

const callback = 'http://localhost:9/callback' // nobody listens: the test reads the redirect itself
const email = 'node@example.com'
let provider

before(async () => {
  provider = await startDev('--mail', 'off')
  const person = new Person(provider.issuer)
  await person.visit(`${provider.issuer}/signup`)
  await person.submit({ email, name: 'Node Person', password })
})
after(() => provider?.close())

async function discover (client, auth) {
  return oidc.discovery(new URL(provider.issuer), client.client_id, undefined, auth, { execute: [oidc.allowInsecureRequests] })
}

/** The whole code flow with PKCE, state and nonce; returns the verified tokens. */
async function codeFlow (config, person, { scope = 'openid profile email offline_access', ...more } = {}) {
  const verifier = oidc.randomPKCECodeVerifier()
  const state = oidc.randomState()
  const nonce = oidc.randomNonce()
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: callback, scope, state, nonce, ...more,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256'
  })
  const landed = await person.authorize(url, { identifier: email, password })
  return oidc.authorizationCodeGrant(config, landed, {
    pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true
  })
}

const methods = {
  client_secret_basic: (client) => oidc.ClientSecretBasic(client.client_secret),
  client_secret_post: (client) => oidc.ClientSecretPost(client.client_secret),
  none: () => oidc.None()
}

for (const [method, auth] of Object.entries(methods)) {
  test(`code flow, userinfo, refresh, revocation and logout with ${method}`, async () => {
    const client = await provider.client('--kind', method === 'none' ? 'spa' : 'web', '--name', `openid-client ${method}`,
      '--redirect-uri', callback, '--post-logout-redirect-uri', 'http://localhost:9/bye', '--auth-method', method,
      '--grant-type', 'authorization_code', '--grant-type', 'refresh_token')
    const config = await discover(client, auth(client))
    const person = new Person(provider.issuer)
    const tokens = await codeFlow(config, person)
    const claims = tokens.claims()
    assert.equal(claims.iss, provider.issuer)
    assert.equal(tokens.token_type, 'bearer')

    const info = await oidc.fetchUserInfo(config, tokens.access_token, claims.sub)
    assert.equal(info.email, email)
    assert.equal(info.name, 'Node Person')

    const second = await oidc.refreshTokenGrant(config, tokens.refresh_token)
    assert.notEqual(second.refresh_token, tokens.refresh_token, 'rotation')
    assert.equal(second.claims().sub, claims.sub)
    assert.equal(second.claims().auth_time, claims.auth_time, 'OIDC Core §12.2: auth_time stays')

    await oidc.tokenRevocation(config, second.refresh_token)
    await assert.rejects(oidc.refreshTokenGrant(config, second.refresh_token), { error: 'invalid_grant' })

    const landed = await person.visit(oidc.buildEndSessionUrl(config, {
      id_token_hint: tokens.id_token, post_logout_redirect_uri: 'http://localhost:9/bye', state: 'kept'
    })) ?? await person.submit({}, ['answer', 'leave'])
    assert.equal(String(landed), 'http://localhost:9/bye?state=kept')
    await person.visit(`${provider.issuer}/account`)
    assert.match(person.html, /name="identifier"/, 'signed out at the provider')
  })
}

test('explicit logout ends offline refresh tokens too', async () => {
  const client = await provider.client('--kind', 'web', '--name', 'offline', '--redirect-uri', callback,
    '--post-logout-redirect-uri', 'http://localhost:9/bye', '--grant-type', 'authorization_code', '--grant-type', 'refresh_token')
  const config = await discover(client, oidc.ClientSecretBasic(client.client_secret))
  const person = new Person(provider.issuer)
  const tokens = await codeFlow(config, person)
  await person.visit(oidc.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: 'http://localhost:9/bye' }))
  await assert.rejects(oidc.refreshTokenGrant(config, tokens.refresh_token), { error: 'invalid_grant' })
})

describe('private_key_jwt', () => {
  test('code flow and refresh with a key of the client (RFC 7523 §2.2)', async () => {
    const { publicKey, privateKey } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
    const jwk = { ...await crypto.subtle.exportKey('jwk', publicKey), kid: 'node-1', use: 'sig', alg: 'ES256' }
    delete jwk.key_ops
    delete jwk.ext
    const file = join(provider.dir.path, 'node-jwks.json')
    writeFileSync(file, JSON.stringify({ keys: [jwk] }))
    const client = await provider.client('--kind', 'web', '--name', 'private_key_jwt', '--redirect-uri', callback,
      '--auth-method', 'private_key_jwt', '--jwks-file', file, '--grant-type', 'authorization_code', '--grant-type', 'refresh_token')
    assert.equal(client.client_secret, undefined, 'a client with a key gets no secret')
    const config = await discover(client, oidc.PrivateKeyJwt({ key: privateKey, kid: 'node-1' }))
    const tokens = await codeFlow(config, new Person(provider.issuer))
    assert.equal((await oidc.refreshTokenGrant(config, tokens.refresh_token)).claims().sub, tokens.claims().sub)

    const stranger = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
    const impostor = await discover(client, oidc.PrivateKeyJwt({ key: stranger.privateKey, kid: 'node-1' }))
    await assert.rejects(oidc.refreshTokenGrant(impostor, tokens.refresh_token), { error: 'invalid_client' })
  })
})

describe('machine', () => {
  test('client_credentials, introspection and revocation', async () => {
    const audience = 'https://machines.example.com/'
    await provider.cli('api', 'create', '--audience', audience, '--name', 'Machines', '--scope', 'jobs:run=Run jobs')
    const client = await provider.client('--kind', 'machine', '--name', 'cron', '--audience', audience, '--scope', 'jobs:run')
    const config = await discover(client, oidc.ClientSecretBasic(client.client_secret))
    // A running server sees a new API when it next looks for changes, within a second.
    const token = await until('a token for the new API', () => oidc.clientCredentialsGrant(config, { scope: 'jobs:run', resource: audience }), { seconds: 5 })
    assert.equal(token.scope ?? 'jobs:run', 'jobs:run')
    const facts = await oidc.tokenIntrospection(config, token.access_token)
    assert.equal(facts.active, true)
    assert.equal(facts.client_id, client.client_id)
    assert.deepEqual([facts.aud].flat(), [audience])
    assert.equal((await oidc.tokenIntrospection(config, 'nonsense')).active, false)
    await oidc.tokenRevocation(config, 'nonsense') // RFC 7009 §2.2: unknown tokens are answered 200
    await assert.rejects(oidc.clientCredentialsGrant(config, { scope: 'jobs:stop', resource: audience }), { error: 'invalid_scope' })
  })

  test('revoked opaque access token is inactive and opens nothing', async () => {
    const client = await provider.client('--kind', 'web', '--name', 'opaque', '--redirect-uri', callback, '--access-token-format', 'opaque')
    const config = await discover(client, oidc.ClientSecretBasic(client.client_secret))
    const tokens = await codeFlow(config, new Person(provider.issuer), { scope: 'openid' })
    assert.equal((await oidc.tokenIntrospection(config, tokens.access_token)).active, true)
    await oidc.tokenRevocation(config, tokens.access_token)
    assert.equal((await oidc.tokenIntrospection(config, tokens.access_token)).active, false)
    await assert.rejects(oidc.fetchUserInfo(config, tokens.access_token, oidc.skipSubjectCheck))
  })
})

describe('response modes', () => {
  for (const mode of ['query', 'fragment']) {
    test(`response_mode=${mode} carries code, state and iss (RFC 9207)`, async () => {
      const client = await provider.client('--kind', 'web', '--name', mode, '--redirect-uri', callback, '--first-party')
      const config = await discover(client, oidc.ClientSecretBasic(client.client_secret))
      const url = oidc.buildAuthorizationUrl(config, {
        redirect_uri: callback, scope: 'openid', state: 's', response_mode: mode,
        code_challenge: await oidc.calculatePKCECodeChallenge(oidc.randomPKCECodeVerifier()), code_challenge_method: 'S256'
      })
      const landed = await new Person(provider.issuer).authorize(url, { identifier: email, password })
      const answer = new URLSearchParams(mode === 'query' ? landed.search : landed.hash.slice(1))
      assert.ok(answer.get('code'))
      assert.equal(answer.get('state'), 's')
      assert.equal(answer.get('iss'), provider.issuer)
    })
  }

  test('RS256 ID tokens for the client that asks for them', async () => {
    const client = await provider.client('--kind', 'web', '--name', 'rs256', '--redirect-uri', callback, '--id-token-alg', 'RS256')
    const config = await oidc.discovery(new URL(provider.issuer), client.client_id, { id_token_signed_response_alg: 'RS256' },
      oidc.ClientSecretBasic(client.client_secret), { execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks] })
    const tokens = await codeFlow(config, new Person(provider.issuer), { scope: 'openid' })
    assert.equal(JSON.parse(Buffer.from(tokens.id_token.split('.')[0], 'base64url')).alg, 'RS256')
  })
})
