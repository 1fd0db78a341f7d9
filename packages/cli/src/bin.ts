#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

// Halves the start. In the user's own folder: the usual one below /tmp can be made by somebody else first.
enableCompileCache(join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'souk', 'code'))
const { main } = await import('./main.ts')
await main(import.meta.filename.endsWith('.ts') ? 'npm run -s souk --' : 'souk')
