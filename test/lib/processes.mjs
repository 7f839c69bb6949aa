// Child processes of the tests: started, waited for by condition, and never left behind.
import { spawn, execFile } from 'node:child_process'
import { connect, createServer } from 'node:net'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
export const run = promisify(execFile)

const alive = new Set()
process.on('exit', () => { for (const child of alive) child.kill('SIGKILL') })

/** A port of the loopback that nobody listens on at the moment. */
export async function freePort () {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** A temporary folder, and the function that removes it. */
export function folder (name) {
  const path = mkdtempSync(join(tmpdir(), `signet-${name}-`))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** Polls check until it returns something true; fails with what and the last error otherwise. */
export async function until (what, check, { seconds = 20, every = 25 } = {}) {
  const end = Date.now() + seconds * 1000
  let last
  while (Date.now() < end) {
    try {
      const value = await check()
      if (value) return value
    } catch (err) {
      last = err
    }
    await pause(every)
  }
  throw new Error(`waited ${seconds} s in vain for ${what}${last ? `: ${last.message}` : ''}`)
}

/** A running program; `output` is what it wrote so far. */
export class Program {
  constructor (command, args, { cwd = root, env = {} } = {}) {
    this.name = `${command} ${args.join(' ')}`
    this.output = ''
    this.child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    alive.add(this.child)
    this.child.stdout.on('data', (data) => { this.output += data })
    this.child.stderr.on('data', (data) => { this.output += data })
    this.ended = once(this.child, 'close').then(([code, signal]) => {
      alive.delete(this.child)
      this.exit = { code, signal }
      return this.exit
    })
  }

  /** Waits until url answers anything at all, or fails at once when the program ends. */
  async answers (url, options) {
    await until(`${this.name} to answer ${url}`, async () => {
      if (this.exit) return true
      await fetch(url, { redirect: 'manual' })
      return true
    }, options)
    if (this.exit) throw new Error(`${this.name} ended (${JSON.stringify(this.exit)}):\n${this.output}`)
    return this
  }

  /** Waits until a port of the loopback takes connections. */
  async listens (port) {
    await until(`${this.name} to listen on ${port}`, async () => {
      if (this.exit) return true
      const socket = connect(port, '127.0.0.1')
      try {
        await once(socket, 'connect')
        return true
      } finally {
        socket.destroy()
      }
    })
    if (this.exit) throw new Error(`${this.name} ended (${JSON.stringify(this.exit)}):\n${this.output}`)
    return this
  }

  async stop (signal = 'SIGTERM') {
    if (this.exit) return this.exit
    this.child.kill(signal)
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 15_000)
    const exit = await this.ended
    clearTimeout(timer)
    return exit
  }
}
