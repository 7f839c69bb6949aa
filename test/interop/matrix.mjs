// The flows, and the page that says which client did which.
export const flows = [
  ['code', 'Code flow with PKCE, ID token verified, userinfo', 'OpenID Connect Core, RFC 7636, RFC 9207'],
  ['public', 'The same as a public client', 'RFC 9700 §2.1.1'],
  ['cors', 'Everything from a page of another origin', 'Fetch'],
  ['form_post', 'Answer posted to the application', 'OAuth 2.0 Form Post Response Mode'],
  ['refresh', 'Refresh with rotation', 'RFC 6749 §6, RFC 9700 §2.2.2'],
  ['silent_renew', 'Renewal in a hidden frame (`prompt=none`)', 'OpenID Connect Core §3.1.2.1'],
  ['private_key_jwt', 'Client proven by its key', 'RFC 7523 §2.2'],
  ['mtls', 'Client proven by its certificate, tokens bound to it', 'RFC 8705'],
  ['client_credentials', 'Token for a machine', 'RFC 6749 §4.4, RFC 8707'],
  ['introspection', 'Introspection', 'RFC 7662'],
  ['introspection_jwt', 'Introspection, signed answer', 'RFC 9701'],
  ['revocation', 'Revocation', 'RFC 7009'],
  ['par', 'Pushed authorization request', 'RFC 9126'],
  ['jar', 'Signed request object', 'RFC 9101'],
  ['jarm', 'Signed authorization response', 'JARM'],
  ['dpop', 'Tokens bound to a key of the client', 'RFC 9449'],
  ['fapi', 'FAPI 2.0: pushed, `private_key_jwt`, bound', 'FAPI 2.0 Security Profile'],
  ['message_signing', 'FAPI 2.0 with signed requests and responses', 'FAPI 2.0 Message Signing'],
  ['rar', 'Rich authorization request', 'RFC 9396'],
  ['encryption', 'Encrypted ID token', 'RFC 7516'],
  ['hybrid', 'Hybrid flow, `code id_token`', 'OpenID Connect Core §3.3'],
  ['device', 'Sign-in on a device', 'RFC 8628'],
  ['ciba', 'Sign-in on another device (poll)', 'CIBA Core 1.0'],
  ['token_exchange', 'Token exchange', 'RFC 8693'],
  ['registration', 'Client registers itself', 'RFC 7591, RFC 7592'],
  ['client_document', 'Client described by a document', 'Client ID Metadata Document'],
  ['logout', 'Sign-out by the application', 'RP-Initiated Logout'],
  ['backchannel_logout', 'Sign-out told to the application', 'Back-Channel Logout'],
  ['frontchannel_logout', 'Sign-out told through the browser', 'Front-Channel Logout'],
  ['session', 'Session watched from the page', 'Session Management'],
  ['resource', 'Found from a resource server’s challenge', 'RFC 9728, RFC 8414, RFC 8707'],
  ['api_jwt', 'Resource server: JWT access tokens', 'RFC 9068'],
  ['api_opaque', 'Resource server: introspection', 'RFC 7662'],
  ['api_dpop', 'Resource server: bound access tokens', 'RFC 9449 §7']
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
    'Real clients, each doing its whole flow against the real server: discovery, the person’s sign-in and consent, tokens verified by the',
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
