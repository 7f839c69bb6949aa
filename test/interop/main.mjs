// Runs the clients that are named, or all. When every flow went through, it keeps the results in
// results.json and writes docs/interop.md from them; with --check it only compares.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { root } from '../lib/processes.mjs'
import { flows, page } from './matrix.mjs'
import { Rig } from './rig.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const order = ['openid-client', 'oauth4webapi', 'oidc-client-ts', 'mcp', 'authlib', 'go-oidc', 'spring', 'rust', 'mod-auth-openidc']
const clients = await Promise.all(order.map(async (name) => ({ name, ...(await import(pathToFileURL(join(here, name, 'client.mjs')))).client })))
const known = new Set(flows.map(([id]) => id))

const check = process.argv.includes('--check')
const named = process.argv.slice(2).filter((arg) => arg !== '--check')
const turn = clients.filter((client) => named.length === 0 || named.includes(client.name))

const file = join(here, 'results.json')
const document = join(root, 'docs/interop.md')
const results = JSON.parse(readFileSync(file, 'utf8'))
let passed = 0
let failed = 0

/** One client's turn: every flow that it promises must have been done. */
async function take (client) {
  const rig = new Rig(client)
  let broken
  try {
    await rig.start()
    await client.run(rig)
  } catch (err) {
    broken = err
  }
  for (const id of client.flows) {
    if (!rig.results.has(id)) rig.record(id, false, broken ? 'was not reached' : 'was not done')
  }
  for (const id of rig.results.keys()) {
    if (!known.has(id) || !client.flows.includes(id)) throw new Error(`${client.name} did the flow ${id}, which matrix.mjs or its client.mjs does not list`)
  }
  const outcomes = [...rig.results.values()]
  if (broken) console.error(broken)
  if (broken || outcomes.some((r) => !r.ok)) console.error(`the provider of ${client.name} wrote:\n${rig.provider?.program?.output.slice(-4000) ?? ''}`)
  await rig.close()
  passed += outcomes.filter((r) => r.ok).length
  failed += outcomes.filter((r) => !r.ok).length + (broken ? 1 : 0)
  return { version: client.version(), flows: Object.fromEntries([...known].filter((id) => rig.results.has(id)).map((id) => [id, rig.results.get(id).ok])) }
}

const start = Date.now()
for (const client of turn) {
  const began = Date.now()
  results[client.name] = await take(client)
  console.log(`       ${client.name}: ${((Date.now() - began) / 1000).toFixed(1)} s`)
}

const sorted = Object.fromEntries(order.filter((name) => results[name]).map((name) => [name, results[name]]))
const wanted = [[file, JSON.stringify(sorted, null, 2) + '\n'], [document, page(clients, sorted)]]
for (const [path, content] of wanted) {
  if (readFileSync(path, 'utf8') === content || failed > 0) continue
  if (check) {
    failed++
    console.error(`${path} does not say what this run gave: run test/interop/run.sh and commit what it writes`)
  } else {
    writeFileSync(path, content)
    console.log(`wrote ${path}`)
  }
}
console.log(`${turn.length} clients, ${((Date.now() - start) / 1000).toFixed(0)} s`)
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed > 0 ? 1 : 0)
