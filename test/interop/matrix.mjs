// The flows, and the page that says which client did which.
export const flows = [
  ['code', 'Code flow with PKCE, ID token verified, userinfo', 'OpenID Connect Core §3.1, RFC 7636, RFC 9207'],
  ['public', 'The same as a public client', 'RFC 9700 §2.1.1, RFC 8252'],
  ['cors', 'The same from a page of another origin (CORS)', 'Fetch §3.3'],
  ['form_post', '`form_post` response mode', 'OAuth 2.0 Form Post Response Mode'],
  ['hybrid', 'Hybrid flow, `code id_token`', 'OpenID Connect Core §3.3'],
  ['refresh', 'Refresh token rotation', 'RFC 6749 §6, RFC 9700 §4.14.2'],
  ['silent_renew', 'Silent renew in a frame, `prompt=none`', 'OpenID Connect Core §3.1.2.1'],
  ['private_key_jwt', '`private_key_jwt` client authentication', 'RFC 7523 §2.2'],
  ['mtls', 'Mutual TLS client authentication, certificate-bound tokens', 'RFC 8705'],
  ['client_credentials', 'Client credentials, resource indicator', 'RFC 6749 §4.4, RFC 8707'],
  ['introspection', 'Introspection', 'RFC 7662'],
  ['introspection_jwt', 'Introspection, signed answer', 'RFC 9701'],
  ['revocation', 'Revocation', 'RFC 7009'],
  ['par', 'Pushed authorization request (PAR)', 'RFC 9126'],
  ['jar', 'Signed request object (JAR)', 'RFC 9101'],
  ['jarm', 'Signed authorization response (JARM)', 'JWT Secured Authorization Response Mode'],
  ['dpop', 'DPoP-bound tokens', 'RFC 9449'],
  ['fapi', 'FAPI 2.0: PAR, `private_key_jwt`, DPoP', 'FAPI 2.0 Security Profile'],
  ['message_signing', 'FAPI 2.0 with JAR and JARM', 'FAPI 2.0 Message Signing'],
  ['rar', 'Rich authorization request', 'RFC 9396'],
  ['encryption', 'Encrypted ID token', 'RFC 7516'],
  ['device', 'Device authorization grant', 'RFC 8628'],
  ['token_exchange', 'Token exchange', 'RFC 8693'],
  ['registration', 'Dynamic client registration', 'RFC 7591, RFC 7592'],
  ['client_document', 'Client ID metadata document', 'draft-ietf-oauth-client-id-metadata-document'],
  ['resource', 'Discovery from a resource server\'s challenge', 'RFC 9728, RFC 8414, RFC 8707'],
  ['logout', 'Logout by the application', 'OpenID Connect RP-Initiated Logout'],
  ['backchannel_logout', 'Back-channel logout', 'OpenID Connect Back-Channel Logout'],
  ['frontchannel_logout', 'Front-channel logout', 'OpenID Connect Front-Channel Logout'],
  ['session', 'Session watched in a frame', 'OpenID Connect Session Management'],
  ['api_jwt', 'Resource server: JWT access tokens', 'RFC 9068'],
  ['api_opaque', 'Resource server: introspection', 'RFC 7662'],
  ['api_dpop', 'Resource server: DPoP', 'RFC 9449 §7']
]

/** docs/interop.md from the results of all clients. */
export function page (clients, results) {
  const known = clients.filter((client) => results[client.name])
  const cell = (client, id) => ({ true: 'yes', false: '**fails**' })[results[client.name].flows[id]] ?? ''
  const rows = flows.filter(([id]) => known.some((client) => id in results[client.name].flows))
  return [
    '# Which clients work',
    '',
    '<!-- Written by test/interop/run.sh from its run. Do not edit. -->',
    '',
    'Real clients, each doing its whole flow against the real server: discovery, a person\'s sign-in and consent, tokens verified by the',
    'client itself. `make test` runs the quick ones, `make interop` all of them; a flow that fails fails the run. An empty cell says that the',
    'client has no such feature, or that it is not tried. How each is set up: [test/interop](../test/interop/).',
    '',
    '## Versions',
    '',
    '| Client | Version | Language | In |',
    '|---|---|---|---|',
    ...known.map((client) => `| [${client.title}](../test/interop/${client.name}/) | ${results[client.name].version} | ${client.language} | \`make ${client.slow ? 'interop' : 'test'}\` |`),
    '',
    '## Flows',
    '',
    `| Flow | ${known.map((client) => client.short ?? client.title).join(' | ')} |`,
    `|---|${known.map(() => ':-:').join('|')}|`,
    ...rows.map(([id, label]) => `| ${label} | ${known.map((client) => cell(client, id)).join(' | ')} |`),
    '',
    '## What each flow is',
    '',
    '| Flow | Document |',
    '|---|---|',
    ...rows.map(([, label, document]) => `| ${label} | ${document} |`),
    ''
  ].join('\n')
}
