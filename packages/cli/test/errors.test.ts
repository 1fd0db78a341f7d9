import { describe, expect, test } from 'vitest'
import { ClientError } from '@souk/api/client'
import { CliError, exitStatusOf, showError } from '../src/errors.ts'

const answered = (code: string, status: number): ClientError => new ClientError({ code, status, message: 'm' })

describe('exit status', () => {
  test.each([
    [new Error('a bug'), 1],
    [answered('insufficient-funds', 422), 1],
    [answered('internal', 500), 1],
    [new CliError('some-failed', 'm'), 1],
    [new CliError('usage', 'm'), 2],
    [new CliError('bad-file', 'm'), 2],
    [answered('bad-request', 400), 2],
    [answered('bad-draft', 422), 2],
    [answered('unauthorised', 401), 4],
    [answered('not-yours', 403), 4],
    [new CliError('no-passphrase', 'm'), 4],
    [answered('not-found', 404), 5],
    [new CliError('no-identity', 'm'), 5],
    [answered('not-allowed-now', 409), 6],
    [new CliError('already-running', 'm'), 6],
    [new CliError('unreachable-node', 'm'), 7],
    [answered('unreachable-node', 0), 7],
    [answered('unreachable', 502), 7],
    [new CliError('timed-out', 'm'), 8],
    [new CliError('cancelled', 'm'), 130]
  ])('of %o is %i', (error, status) => expect(exitStatusOf(error)).toBe(status))

  test('of the platform’s own errors is a plain failure, whatever their code is called', () => {
    expect(exitStatusOf(Object.assign(new Error('m'), { code: 'constructor' }))).toBe(1)
    expect(exitStatusOf(Object.assign(new Error('m'), { code: 'EACCES' }))).toBe(1)
  })
})

test('an error is shown with its code and what to do', () => {
  expect(showError(new CliError('usage', 'wrong', { hint: 'right' }))).toEqual({
    code: 'usage',
    message: 'wrong',
    hint: 'right'
  })
  expect(showError('thrown text')).toEqual({ code: 'internal', message: 'thrown text' })
})
