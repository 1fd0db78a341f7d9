import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { createFolder, hasPromtool, promtool, startRelay } from './world.ts'

const folder = fileURLToPath(new URL('../packaging/', import.meta.url))
const read = (name: string): Promise<string> => readFile(`${folder}${name}`, 'utf8')

describe('dashboard and alerts', () => {
  it('name only figures that a relay exposes, and between them show all but four', async () => {
    await using home = await createFolder()
    await using relay = await startRelay({ directory: home.path })
    const text = await (await fetch(`${relay.status().httpUrl}/metrics`)).text()
    const exposed = new Set(Array.from(text.matchAll(/^# TYPE (\S+)/gm), ([, name]) => name ?? ''))
    const shown = namesIn(`${await read('dashboard.json')}${await read('alerts.yaml')}`)

    expect([...shown].filter((name) => !exposed.has(name))).toEqual([])
    expect([...exposed].filter((name) => !shown.has(name))).toEqual([
      'souk_relay_catch_ups_total',
      'souk_relay_records_max',
      'souk_relay_records_bytes_max',
      'process_open_fds'
    ])
  })

  it('the dashboard has no two panels in one place', async () => {
    const { panels } = JSON.parse(await read('dashboard.json')) as { panels: { gridPos: { x: number; y: number } }[] }
    const places = panels.map(({ gridPos: { x, y } }) => `${x},${y}`)
    expect(new Set(places).size).toBe(panels.length)
  })

  it('every alert says what to do', async () => {
    const { groups } = parse(await read('alerts.yaml')) as {
      groups: { rules: { alert: string; annotations?: { remedy?: string } }[] }[]
    }
    const rules = groups.flatMap((group) => group.rules)
    expect(rules.length).toBeGreaterThan(5)
    expect(rules.filter(({ annotations }) => !annotations?.remedy).map(({ alert }) => alert)).toEqual([])
  })

  it.skipIf(!hasPromtool)('pass promtool: syntax, and when they fire', () => {
    expect(promtool(['check', 'rules', 'alerts.yaml'], { cwd: folder })).toBe('')
    expect(promtool(['test', 'rules', 'alerts.test.yaml'], { cwd: folder })).toBe('')
  })
})

/** Histograms by their family's name. */
function namesIn(text: string): Set<string> {
  const names = Array.from(text.matchAll(/\b(?:souk_relay|process)_[a-z_]+/g), ([name]) => name)
  return new Set(names.map((name) => name.replace(/_bucket$/, '')))
}
