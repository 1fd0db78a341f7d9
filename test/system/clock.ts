/** Loaded into a process before all else: sets its clock to `TEST_CLOCK_MS` at its start, from where it goes on. */
const real = Date.now
const aheadMs = Number(process.env['TEST_CLOCK_MS']) - real()
Date.now = () => real() + aheadMs
