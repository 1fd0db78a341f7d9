import { PassThrough } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { createOutput, type OutputInit, type Shape } from '../src/output.ts'
import { renderDetails, renderTable, renderTsv } from '../src/table.ts'

interface Thing {
  readonly name: string
  readonly price: { readonly minor: string; readonly currency: string }
  readonly note?: string
}

const shape: Shape<Thing> = {
  route: 'GET /v1/listings',
  columns: [
    { name: 'name', of: ({ name }) => name },
    { name: 'price', of: ({ price }) => `${price.minor} ${price.currency}`, right: true },
    { name: 'note', of: ({ note }) => note, wide: true }
  ]
}
const things: readonly Thing[] = [
  { name: 'Pot', price: { minor: '1250', currency: 'EUR' }, note: 'two\nlines\tand a tab' },
  { name: '日本の急須\u001b[2J', price: { minor: '5', currency: 'JPY' } }
]

/** A stream that says what a terminal or a pipe says of itself. */
function stream(isTTY: boolean, columns = 80): NodeJS.WriteStream & { text(): string } {
  const through = new PassThrough()
  const text = (): string => ((through.read() as Buffer | null) ?? '').toString()
  return Object.assign(through, { isTTY, columns, text, getColorDepth: () => 1 }) as never
}

async function written(
  init: Partial<OutputInit> & { isTTY: boolean },
  write: (output: ReturnType<typeof createOutput>) => Promise<void> | void
): Promise<{ stdout: string; stderr: string }> {
  const stdout = stream(init.isTTY)
  const stderr = stream(init.isTTY)
  await write(createOutput({ json: false, fields: undefined, ...init, stdout, stderr }))
  return { stdout: stdout.text(), stderr: stderr.text() }
}

describe('a list', () => {
  test('is a table on a terminal, wide characters counted twice and escapes gone', async () => {
    const { stdout } = await written({ isTTY: true }, (output) => output.list(things, shape))
    expect(stdout).toMatchInlineSnapshot(`
      "NAME           PRICE
      Pot         1250 EUR
      日本の急須     5 JPY
      "
    `)
  })

  test('is one line a row in a pipe, whatever the cells hold', async () => {
    const { stdout } = await written({ isTTY: false }, (output) => output.list(things, shape))
    expect(stdout).toMatchInlineSnapshot(`
      "Pot	1250 EUR	two\\nlines and a tab
      日本の急須	5 JPY	
      "
    `)
  })

  test('is the views themselves as JSON', async () => {
    const { stdout } = await written({ isTTY: false, json: true }, (output) => output.list(things, shape))
    expect(JSON.parse(stdout)).toEqual(things)
    expect(stdout).not.toContain('\u001b')
  })

  test('is the whole answer as JSON where rows are a part of it', async () => {
    const whole = { hits: things, total: 9 }
    const { stdout } = await written({ isTTY: false, json: true }, (output) => output.list(things, shape, { whole }))
    expect(JSON.parse(stdout)).toEqual(whole)
  })

  test('of nothing is nothing, and an empty array as JSON', async () => {
    expect(await written({ isTTY: true }, (output) => output.list([], shape))).toEqual({ stdout: '', stderr: '' })
    expect((await written({ isTTY: false, json: true }, (output) => output.list([], shape))).stdout).toBe('[]\n')
  })
})

describe('--fields', () => {
  test('takes columns, fields and paths', async () => {
    const fields = ['price', 'price.minor', 'name']
    const { stdout } = await written({ isTTY: false, fields }, (output) => output.list(things, shape))
    expect(stdout.split('\n')[0]).toBe('1250 EUR\t1250\tPot')
  })

  test('picks the same from JSON, with null for what is not there', async () => {
    const fields = ['price.minor', 'note']
    const { stdout } = await written({ isTTY: false, json: true, fields }, (output) => output.list(things, shape))
    expect(JSON.parse(stdout)).toEqual([
      { 'price.minor': '1250', note: 'two\nlines\tand a tab' },
      { 'price.minor': '5', note: null }
    ])
  })

  test('knows the optional fields of the API that no row has', async () => {
    const { stdout } = await written({ isTTY: false, fields: ['itemCondition', 'name'] }, (output) =>
      output.list(things, shape)
    )
    expect(stdout.split('\n')[0]).toBe('\tPot')
  })

  test('refuses what is no field, and says which there are', async () => {
    const asked = written({ isTTY: false, fields: ['nmae'] }, (output) => output.list(things, shape))
    await expect(asked).rejects.toMatchObject({
      code: 'unknown-field',
      hint: expect.stringContaining('name') as string
    })
  })

  test('does not reach into what every object has', async () => {
    const asked = written({ isTTY: false, fields: ['constructor'] }, (output) => output.list(things, shape))
    await expect(asked).rejects.toMatchObject({ code: 'unknown-field' })
  })
})

describe('one thing', () => {
  const [pot] = things as readonly [Thing]

  test('is a page on a terminal', async () => {
    const { stdout } = await written({ isTTY: true }, (output) => output.show(pot, shape))
    expect(stdout).toMatchInlineSnapshot(`
      "name   Pot
      price  1250 EUR
      note   two
             lines and a tab
      "
    `)
  })

  test('is a name and a value a line in a pipe', async () => {
    const { stdout } = await written({ isTTY: false }, (output) => output.show(pot, shape))
    expect(stdout).toMatchInlineSnapshot(`
      "name	Pot
      price	1250 EUR
      note	two\\nlines and a tab
      "
    `)
  })

  test('is its fields alone on one line, so that a script can take them', async () => {
    const { stdout } = await written({ isTTY: false, fields: ['name', 'price.minor'] }, (output) =>
      output.show(pot, shape)
    )
    expect(stdout).toBe('Pot\t1250\n')
  })
})

describe('what is said beside the answer', () => {
  test('notes are for people, warnings for everybody, neither is an answer', async () => {
    const say = (output: ReturnType<typeof createOutput>): void => {
      output.note('a note')
      output.warn('a warning')
    }
    expect(await written({ isTTY: true }, say)).toEqual({ stdout: '', stderr: 'a note\na warning\n' })
    expect(await written({ isTTY: false }, say)).toEqual({ stdout: '', stderr: 'a warning\n' })
    expect(await written({ isTTY: true, json: true }, say)).toEqual({ stdout: '', stderr: 'a warning\n' })
  })
})

describe('rendering', () => {
  const plain = { heading: (text: string) => text }

  test('gives the widest column up first when a terminal is narrow', () => {
    const rows = [['a', 'b'.repeat(60), 'c']]
    const table = { names: ['x', 'long', 'y'], right: [false, false, true], rows }
    const text = renderTable(table, { columns: 30, ...plain })
    expect(text.split('\n').every((line) => Array.from(line).length <= 30)).toBe(true)
    expect(text).toContain('…')
  })

  test('never cuts a column to nothing', () => {
    const table = { names: ['x'], right: [false], rows: [['abcdefghijklmnop']] }
    expect(renderTable(table, { columns: 1, ...plain })).toBe('X\nabcdefg…')
  })

  test('keeps TSV rows whole: an escape of the escape can be undone', () => {
    expect(renderTsv([['a\\tb', 'a\tb']])).toBe('a\\\\tb\ta\\tb')
  })

  test('indents the lines of a value', () => {
    expect(renderDetails([['about', 'one\ntwo']], plain)).toBe('about  one\n       two')
  })
})
