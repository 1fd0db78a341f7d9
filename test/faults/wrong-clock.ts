/**
 * Loaded into a process before all else: its clock is ahead by `TEST_AHEAD_MS` until it gets SIGUSR2, as when somebody
 * sets it right.
 */
const real = Date.now
let aheadMs = Number(process.env['TEST_AHEAD_MS'])
Date.now = () => real() + aheadMs
process.on('SIGUSR2', () => {
  aheadMs = 0
})
