// Keys of the clients, and https in front of programs that have none.
import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import { createServer } from 'node:https'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

/** The folder with cert.pem and key.pem of this machine, which run.sh made and has this process trust. */
export const tls = process.env.INTEROP_TLS

/** A key pair as JWKs. A key to encrypt with names no algorithm: that is the client's choice. */
export function keyPair (kid, alg = 'ES256', use = 'sig') {
  const { publicKey, privateKey } = /^[PR]S/.test(alg)
    ? generateKeyPairSync('rsa', { modulusLength: 2048 })
    : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const more = { kid, use, ...(use === 'sig' && { alg }) }
  return { public: { ...publicKey.export({ format: 'jwk' }), ...more }, private: { ...privateKey.export({ format: 'jwk' }), ...more } }
}

/** The private key of a pair, for programs that want a file. */
export const pem = (pair) => createPrivateKey({ key: pair.private, format: 'jwk' }).export({ format: 'pem', type: 'pkcs8' })

/** A JWT signed with the ES256 key of a pair. */
export function jwt (pair, header, claims) {
  const input = [{ alg: 'ES256', ...header }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  const key = createPrivateKey({ key: pair.private, format: 'jwk' })
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

/** https in the place of a program that speaks http only; `answer` may say something itself. */
export async function front (port, answer) {
  const files = { cert: readFileSync(join(tls, 'cert.pem')), key: readFileSync(join(tls, 'key.pem')) }
  const server = createServer(files, async (req, res) => {
    try {
      if (answer?.(req, res)) return
      const body = ['GET', 'HEAD'].includes(req.method) ? undefined : await text(req)
      const { host, connection, 'content-length': _, 'transfer-encoding': __, ...headers } = req.headers
      const reply = await fetch(`http://localhost:${port}${req.url}`, { method: req.method, headers, body, redirect: 'manual' })
      res.writeHead(reply.status, Object.fromEntries(reply.headers))
      res.end(await reply.text())
    } catch (err) {
      res.writeHead(502)
      res.end(String(err))
    }
  }).listen(0, 'localhost')
  await once(server, 'listening')
  return { url: `https://localhost:${server.address().port}`, close: () => { server.close(); server.closeAllConnections() } }
}
